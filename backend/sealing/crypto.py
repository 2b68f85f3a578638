"""Envelope encryption and credentials.

Every object has its own data key. A named key of the keyring encrypts ("wraps") the data key, bound
to what the object is (`bind`): a row that was swapped with another one, or with an older one, does
not open. A rotation of the keyring wraps 60 bytes of each row again, and leaves the body alone.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib
from dataclasses import dataclass
from typing import Self

from backend.sealing import packed
from backend.sealing.frames import new_data_key, open_all, seal_frames
from backend.sealing.keyring import Envelope, Keyring, WrongKeyring

__all__ = [
    "Envelope",
    "Keyring",
    "Sealed",
    "WrongKeyring",
    "bind",
    "new_data_key",
    "new_token",
    "open_sealed",
    "open_value",
    "rewrap_value",
    "seal",
    "seal_value",
    "token_hash",
    "token_well_formed",
    "value_key_id",
]

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM = 43  # letters of base 62 for 256 bits
_CHECK = 6  # letters of base 62 for a CRC-32
_TOKEN = re.compile(rf"[a-z][a-z0-9-]*_[0-9A-Za-z]{{{_RANDOM + _CHECK}}}")


def bind(*parts: str | int | None) -> bytes:
    """Encode what an object is as bytes. Different parts never give the same bytes."""
    return b"".join(_bound(part) for part in parts)


def _bound(part: str | int | None) -> bytes:
    if part is None:
        return b"n"
    kind, text = (b"i", str(int(part))) if isinstance(part, int) else (b"s", part)
    encoded = text.encode("utf-8", "surrogatepass")
    return kind + len(encoded).to_bytes(4, "big") + encoded


@dataclass(frozen=True, slots=True)
class Sealed:
    """An object that fits in memory, sealed under its own data key."""

    envelope: Envelope
    ciphertext: bytes

    def pack(self) -> bytes:
        """Pack it into one bytes value, for a column."""
        return packed.join(self.envelope.key_id, self.envelope.wrapped_key, self.ciphertext)

    @classmethod
    def unpack(cls, value: bytes) -> Self:
        """Undo `pack`. Raises Unreadable for anything but a packed value."""
        parts = packed.split(value)
        return cls(Envelope(parts.key_id, parts.wrapped_key), parts.ciphertext)


def seal(plaintext: bytes, keyring: Keyring, aad: bytes) -> Sealed:
    """Compress and seal, bound to `aad`."""
    data_key = new_data_key()
    return Sealed(keyring.wrap(data_key, aad), seal_frames(data_key, plaintext))


def open_sealed(sealed: Sealed, keyring: Keyring, aad: bytes) -> bytes:
    """Raises Unreadable for another `aad`, an unknown key or changed bytes."""
    return open_all(keyring.unwrap(sealed.envelope, aad), sealed.ciphertext)


def seal_value(keyring: Keyring, plaintext: bytes, aad: bytes) -> bytes:
    """The same as `seal`, packed into one bytes value for a column."""
    return seal(plaintext, keyring, aad).pack()


def open_value(keyring: Keyring, value: bytes, aad: bytes) -> bytes:
    """Raises Unreadable for another `aad`, an unknown key or changed bytes."""
    return open_sealed(Sealed.unpack(value), keyring, aad)


def rewrap_value(keyring: Keyring, value: bytes, aad: bytes) -> bytes:
    """Wrap the data key of a value with the current key. Returns it unchanged if it is already."""
    sealed = Sealed.unpack(value)
    return Sealed(keyring.rewrap(sealed.envelope, aad), sealed.ciphertext).pack()


def value_key_id(value: bytes) -> str:
    """The id of the key that a packed value needs. Raises Unreadable."""
    return Sealed.unpack(value).envelope.key_id


def new_token(prefix: str) -> str:
    """`prefix_`, 256 random bits and a checksum, in letters and digits."""
    start = prefix + "_" + "".join(secrets.choice(_BASE62) for _ in range(_RANDOM))
    return start + _checksum(start)


def token_well_formed(token: str) -> bool:
    """Whether the checksum is right. It finds a mistyped token without a query."""
    if not _TOKEN.fullmatch(token):
        return False
    return secrets.compare_digest(_checksum(token[:-_CHECK]), token[-_CHECK:])


def token_hash(token: str) -> bytes:
    """The SHA-256 of a token, which is all that is stored of it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _checksum(text: str) -> str:
    rest, letters = zlib.crc32(text.encode("ascii")), ""
    for _ in range(_CHECK):
        rest, digit = divmod(rest, 62)
        letters = _BASE62[digit] + letters
    return letters
