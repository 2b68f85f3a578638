"""Read OpenPGP keys and detached signatures, of the kind that publishers of tools make: RSA, v4.

Only that much of RFC 4880: docs/decisions has why no library does it. What is read here is checked
before it counts: the user ids and subkeys of a key by the primary key's signatures.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

# numbers of RFC 4880
SIGNATURE, PRIMARY, USER_ID, SUBKEY = 2, 6, 13, 14  # kinds of packets
DOCUMENT, BINDING, REVOKED, SUBKEY_REVOKED = 0x00, 0x18, 0x20, 0x28  # kinds of signatures
CERTIFICATIONS = (0x10, 0x11, 0x12, 0x13)
_CREATED, _EXPIRES_AFTER, _KEY_EXPIRES_AFTER, _ISSUER, _FLAGS, _FINGERPRINT = 2, 3, 9, 16, 27, 33
_MAY_SIGN = 0x02
_RSA = (1, 3)
_HASHES: dict[int, hashes.HashAlgorithm] = {
    8: hashes.SHA256(),
    9: hashes.SHA384(),
    10: hashes.SHA512(),
}
_FEWEST_BITS = 2048
_ARMOR = re.compile(
    rb"-----BEGIN PGP [A-Z ]+-----\r?\n(?:[^\r\n]+: [^\r\n]*\r?\n)*\r?\n(.*?)-----END PGP",
    re.DOTALL,
)


class Malformed(ValueError):
    """It is no OpenPGP document of the kind that is read here. The text says why."""


@dataclass(frozen=True)
class PublicKey:
    """`number` is None for a key of another kind than RSA, which verifies nothing here."""

    fingerprint: str
    created: int
    body: bytes
    number: rsa.RSAPublicKey | None


@dataclass(frozen=True)
class Signature:
    """`signed` is what belongs to the digest besides the document. Times in seconds since 1970."""

    kind: int
    created: int
    expires_after: int
    key_expires_after: int
    flags: int | None
    issuer: str  # a fingerprint, or its end
    hash_number: int
    signed: bytes
    value: int

    def is_by(self, key: PublicKey, document: bytes) -> bool:
        """Whether this key has made it for this document."""
        algorithm = _HASHES.get(self.hash_number)
        if algorithm is None or key.number is None or not key.fingerprint.endswith(self.issuer):
            return False
        digest = hashlib.new(algorithm.name, document + self.signed).digest()
        try:
            value = self.value.to_bytes((key.number.key_size + 7) // 8)
            key.number.verify(value, digest, PKCS1v15(), Prehashed(algorithm))
        except (InvalidSignature, OverflowError):
            return False
        return True


@dataclass(frozen=True)
class Signer:
    """A key that may sign documents, until `expires` (None: without an end)."""

    key: PublicKey
    expires: int | None


@dataclass(frozen=True)
class Certificate:
    """A primary key with all keys that may sign for it. `expires` is that of the primary key."""

    primary: PublicKey
    expires: int | None
    is_revoked: bool
    signers: tuple[Signer, ...]


def certificates(content: bytes) -> list[Certificate]:
    """The public keys in a file, binary or armored. Raises Malformed."""
    found: list[list[tuple[int, bytes]]] = []
    for kind, body in _packets(_without_armor(content)):
        if kind == PRIMARY:
            found.append([])
        if found:
            found[-1].append((kind, body))
    return [_certificate(packets) for packets in found]


def signature(content: bytes) -> Signature:
    """The one signature in a file. Raises Malformed."""
    found = list(_packets(_without_armor(content)))
    if [kind for kind, _ in found] != [SIGNATURE]:
        raise Malformed("it is not one signature")
    return _signature(found[0][1])


def _without_armor(content: bytes) -> bytes:
    if not content.lstrip().startswith(b"-----BEGIN"):
        return content
    parts = _ARMOR.findall(content)
    try:
        texts = [re.sub(rb"\n=[^\n]*\n?$", b"\n", part.replace(b"\r", b"")) for part in parts]
        return b"".join(base64.b64decode(b"".join(t.split()), validate=True) for t in texts)
    except ValueError as error:
        raise Malformed("its armor is broken") from error


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        kind, start, end = _header(data, position)
        if end > len(data):
            raise Malformed("it is cut off")
        yield kind, data[start:end]
        position = end


def _header(data: bytes, at: int) -> tuple[int, int, int]:
    """The kind of a packet, and where its body begins and ends."""
    first, rest = data[at], data[at + 1 : at + 6] + bytes(5)
    if not first & 0x80:
        raise Malformed("it has no packets")
    if first & 0x40:
        size, length = _length(rest)
        return first & 0x3F, at + 1 + size, at + 1 + size + length
    size = (1, 2, 4, 0)[first & 3]
    if not size:
        raise Malformed("a packet has no length")
    return (first >> 2) & 0xF, at + 1 + size, at + 1 + size + int.from_bytes(rest[:size])


def _length(data: bytes) -> tuple[int, int]:
    """The length that is written here, and how many bytes it takes."""
    if data[0] < 192:
        return 1, data[0]
    if data[0] < 224:
        return 2, ((data[0] - 192) << 8) + data[1] + 192
    if data[0] < 255:
        raise Malformed("a packet is in pieces")
    return 5, int.from_bytes(data[1:5])


def _key(body: bytes) -> PublicKey:
    if len(body) < 6 or body[0] != 4:
        raise Malformed("a key is not of version 4")
    hashed = hashlib.sha1(_framed(body), usedforsecurity=False)
    number = None
    if body[5] in _RSA:
        modulus, rest = _number(body[6:])
        exponent, _ = _number(rest)
        number = _public(modulus, exponent)
    return PublicKey(hashed.hexdigest().upper(), int.from_bytes(body[1:5]), body, number)


def _public(modulus: int, exponent: int) -> rsa.RSAPublicKey | None:
    if modulus.bit_length() < _FEWEST_BITS:
        return None
    try:
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError as error:
        raise Malformed("a key is no RSA key") from error


def _framed(body: bytes) -> bytes:
    """A key as it is hashed."""
    return b"\x99" + len(body).to_bytes(2) + body


def _number(data: bytes) -> tuple[int, bytes]:
    """A number, and what follows it. Its leading bits may be 0: Go's OpenPGP writes such ones."""
    size = (int.from_bytes(data[:2]) + 7) // 8
    if len(data) < 2 + size:
        raise Malformed("a number is cut off")
    return int.from_bytes(data[2 : 2 + size]), data[2 + size :]


def _signature(body: bytes) -> Signature:
    if len(body) < 10 or body[0] != 4 or body[2] not in _RSA:
        raise Malformed("the signature is not of version 4 with RSA")
    end = 6 + int.from_bytes(body[4:6])
    rest = body[end:]
    unhashed = 2 + int.from_bytes(rest[:2])
    if len(rest) < unhashed + 4:
        raise Malformed("the signature is cut off")
    value, _ = _number(rest[unhashed + 2 :])
    said = dict(_subpackets(body[6:end]))
    hints = dict(_subpackets(rest[2:unhashed])) | said
    return Signature(
        kind=body[1],
        created=_seconds(said, _CREATED),
        expires_after=_seconds(said, _EXPIRES_AFTER),
        key_expires_after=_seconds(said, _KEY_EXPIRES_AFTER),
        flags=said[_FLAGS][0] if said.get(_FLAGS) else None,
        issuer=(hints.get(_FINGERPRINT, b"")[1:] or hints.get(_ISSUER, b"")).hex().upper(),
        hash_number=body[3],
        signed=body[:end] + b"\x04\xff" + end.to_bytes(4),
        value=value,
    )


def _subpackets(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        size, length = _length(data + bytes(5))
        if not length or size + length > len(data):
            raise Malformed("a part of a signature is cut off")
        yield data[size] & 0x7F, data[size + 1 : size + length]
        data = data[size + length :]


def _seconds(said: dict[int, bytes], number: int) -> int:
    return int.from_bytes(said.get(number, b"")[:4])


def _certificate(packets: list[tuple[int, bytes]]) -> Certificate:
    primary = _key(packets[0][1])
    own: list[Signature] = []
    signers: list[Signer] = []
    is_revoked = False
    for (kind, body), signed in _signed(packets):
        document = _framed(primary.body)
        if kind == USER_ID:
            document += b"\xb4" + len(body).to_bytes(4) + body
        elif kind == SUBKEY:
            document += _framed(body)
        good = [one for one in signed if one.is_by(primary, document)]
        if kind == SUBKEY:
            signers += _subkey(_key(body), good)
        own += [one for one in good if kind == USER_ID and one.kind in CERTIFICATIONS]
        is_revoked = is_revoked or any(one.kind == REVOKED for one in good if kind == PRIMARY)
    if not own:
        raise Malformed("the key has no signature of its own")
    last = max(own, key=lambda one: one.created)
    expires = _end(primary, last)
    if last.flags is None or last.flags & _MAY_SIGN:
        signers.insert(0, Signer(primary, expires))
    return Certificate(primary, expires, is_revoked, tuple(signers))


def _signed(
    packets: list[tuple[int, bytes]],
) -> Iterator[tuple[tuple[int, bytes], list[Signature]]]:
    """Each packet with the signatures that follow it. Those of kinds that are not read are left."""
    position = 0
    while position < len(packets):
        end = position + 1
        while end < len(packets) and packets[end][0] == SIGNATURE:
            end += 1
        bodies = [body for _, body in packets[position + 1 : end]]
        yield packets[position], [one for body in bodies if (one := _readable(body)) is not None]
        position = end


def _readable(body: bytes) -> Signature | None:
    try:
        return _signature(body)
    except Malformed:
        return None


def _subkey(key: PublicKey, good: list[Signature]) -> list[Signer]:
    bound = [one for one in good if one.kind == BINDING]
    if not bound or any(one.kind == SUBKEY_REVOKED for one in good):
        return []
    last = max(bound, key=lambda one: one.created)
    return [Signer(key, _end(key, last))] if (last.flags or 0) & _MAY_SIGN else []


def _end(key: PublicKey, binding: Signature) -> int | None:
    return key.created + binding.key_expires_after if binding.key_expires_after else None
