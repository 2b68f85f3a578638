"""An OpenPGP key that signs files, as registries of providers have one (RFC 4880, version 4)."""

from __future__ import annotations

import base64
import hashlib
import struct
import time

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

_PUBLIC_KEY, _USER_ID, _SIGNATURE = 6, 13, 2
_OF_A_FILE, _OF_A_USER_ID = 0x00, 0x13
_RSA, _SHA256 = 1, 8
_MADE, _ISSUER, _FLAGS = 2, 16, 27  # subpackets
_MAY_CERTIFY_AND_SIGN = b"\x03"
_USER = b"stateroom tests"


class SigningKey:
    """A fresh RSA key with one user id."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = self._key.public_key().public_numbers()
        self._made = int(time.time()) - 3600
        head = struct.pack(">BIB", 4, self._made, _RSA)
        self._body = head + _number(numbers.n) + _number(numbers.e)
        framed = b"\x99" + struct.pack(">H", len(self._body)) + self._body
        self._hashed = framed
        self._id = hashlib.sha1(framed, usedforsecurity=False).digest()[-8:]

    @property
    def key_id(self) -> str:
        return self._id.hex().upper()

    def public(self) -> str:
        """The public key with its user id, armored."""
        named = self._hashed + b"\xb4" + struct.pack(">I", len(_USER)) + _USER
        packets = (
            _packet(_PUBLIC_KEY, self._body)
            + _packet(_USER_ID, _USER)
            + self._signature(_OF_A_USER_ID, named)
        )
        armored = base64.encodebytes(packets).decode()
        begin, end = (f"-----{w} PGP PUBLIC KEY BLOCK-----" for w in ("BEGIN", "END"))
        return f"{begin}\n\n{armored}={_checksum(packets)}\n{end}\n"

    def sign(self, content: bytes) -> bytes:
        """A detached signature, binary."""
        return self._signature(_OF_A_FILE, content)

    def _signature(self, kind: int, content: bytes) -> bytes:
        said = _subpacket(_MADE, struct.pack(">I", self._made + 1))
        said += _subpacket(_FLAGS, _MAY_CERTIFY_AND_SIGN)
        head = struct.pack(">BBBBH", 4, kind, _RSA, _SHA256, len(said)) + said
        signed = content + head + struct.pack(">BBI", 4, 0xFF, len(head))
        issuer = _subpacket(_ISSUER, self._id)
        made = self._key.sign(signed, PKCS1v15(), SHA256())
        begin = hashlib.sha256(signed).digest()[:2]
        body = head + struct.pack(">H", len(issuer)) + issuer + begin
        return _packet(_SIGNATURE, body + _number(int.from_bytes(made, "big")))


def _packet(tag: int, body: bytes) -> bytes:
    return bytes([0xC0 | tag, 0xFF]) + struct.pack(">I", len(body)) + body


def _subpacket(kind: int, body: bytes) -> bytes:
    return bytes([len(body) + 1, kind]) + body


def _number(value: int) -> bytes:
    return struct.pack(">H", value.bit_length()) + value.to_bytes((value.bit_length() + 7) // 8)


def _checksum(content: bytes) -> str:
    """CRC-24 of an armored block."""
    crc = 0xB704CE
    for byte in content:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return base64.b64encode(crc.to_bytes(3)).decode()
