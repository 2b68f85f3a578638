"""The keyring: the keys that wrap all data keys. All of them open; one of them, the current, seals.

A keyring that was loaded from a file takes in the keys that are added to the file. It keeps those
that are removed from it until the process ends.
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
from backend.sealing.proofs import Proofs

__all__ = ["Envelope", "Keyring", "WrongKeyring"]

_NONCE = 12

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Envelope:
    """A wrapped data key (60 bytes), and the id of the key that wrapped it."""

    key_id: str
    wrapped_key: bytes


class Keyring:
    """Wraps with its current key, which is the first one by default, and unwraps with every key."""

    def __init__(self, keys: Keys, path: Path | None = None, forbidden_mode: int = 0o077) -> None:
        self._keys = dict(keys)
        self._current = next(iter(self._keys))
        self._path = path
        self._stamp = keyring_file.stamp(path) if path else None
        self.proofs = Proofs()  # of the installation, once its key is known
        self._read = partial(keyring_file.read, forbidden_mode=forbidden_mode)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._keys)})"

    @classmethod
    def create(cls, path: Path) -> Self:
        """Create a keyring file with one new key, durably. Raises FileExistsError."""
        return cls(keyring_file.create(path), path)

    @classmethod
    def load(cls, path: Path, *, forbidden_mode: int = 0o077) -> Self:
        """Read a keyring file. Raises WrongKeyring as `keyring_file.read` does."""
        stamp = keyring_file.stamp(path)
        loaded = cls(keyring_file.read(path, forbidden_mode=forbidden_mode), path, forbidden_mode)
        loaded._stamp = stamp  # taken before reading, so that a later change is read again
        return loaded

    @classmethod
    def from_text(cls, text: str, source: str = "STATEROOM_KEYRING") -> Self:
        """Parse lines of `name base64`, also separated by semicolons. Raises WrongKeyring."""
        return cls(keyring_file.parse(text, source))

    @property
    def keys(self) -> Mapping[str, bytes]:
        return self._keys

    @property
    def path(self) -> Path | None:
        """The file of the keyring, or None if it is from the environment."""
        return self._path

    @property
    def current(self) -> str:
        """The id of the key that seals."""
        return self._current

    def seal_with(self, key_id: str) -> None:
        """Make this the current key. Raises Unreadable with the code `unknown-key`."""
        if key_id != self._current:
            self._find(key_id)
            self._current = key_id

    def refresh(self) -> None:
        """Take in the keys that were added to the file. An invalid file is logged and ignored.

        Removed keys are kept: a file that is being copied may be read half-written, and another
        process may still seal with a key that was just dropped.
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
                "keyring_not_reloaded", reason="Keys with these names have changed.", keys=changed
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
                f"The object does not open with the key {envelope.key_id!r}: "
                "it was changed, swapped with another one, or sealed with another keyring.",
                key_id=envelope.key_id,
            ) from None

    def rewrap(self, envelope: Envelope, aad: bytes) -> Envelope:
        """Wrap the data key with the current key. Returns the envelope itself if it already is."""
        if envelope.key_id == self._current:
            return envelope
        return self.wrap(self.unwrap(envelope, aad), aad)

    def _find(self, key_id: str) -> bytes:
        """The key with this id, also if it was just added to the file. Raises Unreadable."""
        if key_id not in self._keys:
            self.refresh()
        try:
            return self._keys[key_id]
        except KeyError:
            raise Unreadable(
                f"The object was sealed with the key {key_id!r}, which the keyring does not have.",
                code="unknown-key",
                key_id=key_id,
            ) from None
