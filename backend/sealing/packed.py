"""The layout of a packed value: the key's id, the wrapped data key and the ciphertext as one."""

from __future__ import annotations

from typing import NamedTuple

from backend.errors import Unreadable

WRAPPED = 60  # the bytes of a wrapped data key: nonce, data key, tag
_FORMAT = 1  # the first byte


class Parts(NamedTuple):
    key_id: str
    wrapped_key: bytes
    ciphertext: bytes


def join(key_id: str, wrapped_key: bytes, ciphertext: bytes) -> bytes:
    name = key_id.encode("ascii")
    return bytes((_FORMAT, len(name))) + name + wrapped_key + ciphertext


def split(packed: bytes) -> Parts:
    """Undo `join`. Raises Unreadable for anything but a packed value."""
    if len(packed) < 2 or packed[0] != _FORMAT or len(packed) < 2 + packed[1] + WRAPPED:
        raise Unreadable("The sealed value has a format that this version does not know.")
    key_ends = 2 + packed[1]
    return Parts(
        packed[2:key_ends].decode("ascii", "replace"),
        packed[key_ends : key_ends + WRAPPED],
        packed[key_ends + WRAPPED :],
    )
