"""The keys that wrap all data keys. Every one opens; one of them seals.

A keyring of a file is live: it takes in the keys that are added to the file, and forgets none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backend.errors import Unreadable
from backend.sealing import keyring_file
from backend.sealing.keyring_file import Keys, WrongKeyring

__all__ = ["Envelope", "Keyring", "WrongKeyring"]

_NONCE = 12

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Envelope:
    """A data key, wrapped by the key of that id: 60 bytes."""

    key_id: str
    wrapped_key: bytes


class Keyring:
    """Wraps with its current key, at first the first one; unwraps with every one."""

    def __init__(self, keys: Keys, path: Path | None = None, forbidden_mode: int = 0o077) -> None:
        self._keys = dict(keys)
        self._current = next(iter(self._keys))
        self._path = path
        self._stamp = keyring_file.stamp(path) if path else None
        self._read = partial(keyring_file.read, forbidden_mode=forbidden_mode)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._keys)})"

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new keyring with one fresh key, durable on return. Raises FileExistsError."""
        return cls(keyring_file.create(path), path)

    @classmethod
    def load(cls, path: Path, *, forbidden_mode: int = 0o077) -> Self:
        """Raises WrongKeyring when it is missing, no keyring, or has one of the forbidden bits."""
        stamp = keyring_file.stamp(path)
        loaded = cls(keyring_file.read(path, forbidden_mode=forbidden_mode), path, forbidden_mode)
        loaded._stamp = stamp  # of before: what changed since is read again
        return loaded

    @classmethod
    def from_text(cls, text: str, source: str = "STATEROOM_KEYRING") -> Self:
        """Lines of `name base64`, or the same separated by semicolons. Raises WrongKeyring."""
        return cls(keyring_file.parse(text, source))

    @property
    def keys(self) -> Mapping[str, bytes]:
        return self._keys

    @property
    def path(self) -> Path | None:
        """The file; None for a keyring out of the environment."""
        return self._path

    @property
    def current(self) -> str:
        """The id of the key that seals."""
        return self._current

    def seal_with(self, key_id: str) -> None:
        """From now on seal with this key. Raises Unreadable `unknown-key`."""
        if key_id != self._current:
            self._find(key_id)
            self._current = key_id

    def refresh(self) -> None:
        """Take in what was added to the file. One that is no good is logged and changes nothing.

        No key is forgotten: a file that is being copied looks cut, and somebody may still seal
        with a key that has just been dropped.
        """
        if self._path is None or (stamp := keyring_file.stamp(self._path)) == self._stamp:
            return
        self._stamp = stamp
        try:
            found = self._read(self._path)
        except WrongKeyring as error:
            log.error("keyring_not_reloaded", reason=str(error))
            return
        changed = [i for i, key in found.items() if self._keys.get(i, key) != key]
        if changed:
            log.error(
                "keyring_not_reloaded", reason="It has other keys by these names.", keys=changed
            )
            return
        added = [key_id for key_id in found if key_id not in self._keys]
        self._keys = self._keys | found
        if added:
            log.info("keyring_reloaded", added=added)

    def wrap(self, data_key: bytes, aad: bytes) -> Envelope:
        """Wrap a data key with the current key, bound to `aad` (see `crypto.bind`)."""
        key_id, nonce = self._current, os.urandom(_NONCE)
        wrapped = AESGCM(self._keys[key_id]).encrypt(nonce, data_key, aad)
        return Envelope(key_id, nonce + wrapped)

    def unwrap(self, envelope: Envelope, aad: bytes) -> bytes:
        """The data key. Raises Unreadable for another `aad`, an unknown key or changed bytes."""
        key = self._find(envelope.key_id)
        nonce, wrapped = envelope.wrapped_key[:_NONCE], envelope.wrapped_key[_NONCE:]
        try:
            return AESGCM(key).decrypt(nonce, wrapped, aad)
        except (InvalidTag, ValueError):
            raise Unreadable(
                f"It does not open with the key {envelope.key_id!r}: "
                "it was changed, swapped with another one, or sealed with another keyring.",
                key_id=envelope.key_id,
            ) from None

    def rewrap(self, envelope: Envelope, aad: bytes) -> Envelope:
        """The same data key under the current key; the same envelope when it is already."""
        if envelope.key_id == self._current:
            return envelope
        return self.wrap(self.unwrap(envelope, aad), aad)

    def _find(self, key_id: str) -> bytes:
        """The key; the file may have just got it. Raises Unreadable `unknown-key`."""
        if key_id not in self._keys:
            self.refresh()
        try:
            return self._keys[key_id]
        except KeyError:
            raise Unreadable(
                f"It was sealed with the key {key_id!r}, which the keyring does not have.",
                code="unknown-key",
                key_id=key_id,
            ) from None
