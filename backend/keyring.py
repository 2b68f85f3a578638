"""The keys that wrap all data keys: a file with one named 256-bit key a line.

# The first key seals; the others only open what was sealed before.
k2-90ab12cd 3q2+7w…
k1-5f3a9c2e mKq0…
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backend.durable import sync_folder
from backend.errors import Unreadable

_KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NONCE = 12
_HEADING = (
    "# The keyring of Stateroom: without it, nothing that was stored can be read.\n"
    "# Back it up apart from the database. The first key seals; the others only open.\n"
)


class WrongKeyring(Exception):
    """The keyring cannot be used. The message names it and says what to do."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A data key, wrapped by the key of that id: 60 bytes."""

    key_id: str
    wrapped_key: bytes


@dataclass(frozen=True, slots=True)
class Keyring:
    """Wraps with its first key, unwraps with every one."""

    keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new keyring with one fresh key, durable on return. Raises FileExistsError."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = _HEADING + _line(_new_id(0), _new_key())
        draft = _write_draft(path, text)
        try:
            # A link appears whole or not at all, and never replaces a keyring.
            os.link(draft, path)
        finally:
            draft.unlink()
        sync_folder(path.parent)
        return cls.from_text(text, str(path))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises WrongKeyring when it is missing, readable for others, or not a keyring."""
        try:
            with path.open(encoding="utf-8") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                if mode & 0o077:
                    raise WrongKeyring(
                        f"The keyring {path} can be read by others (mode {mode:04o}). "
                        f"Run: chmod 600 {path}"
                    )
                return cls.from_text(file.read(), str(path))
        except FileNotFoundError:
            raise WrongKeyring(
                f"The keyring {path} is missing. Put it back from your backup."
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise WrongKeyring(f"The keyring {path} cannot be read: {error}") from None

    @classmethod
    def from_text(cls, text: str, source: str = "STATEROOM_KEYRING") -> Self:
        """Lines of `name base64`, or the same separated by semicolons. Raises WrongKeyring."""
        keys: dict[str, bytes] = {}
        for where, entry in _entries(text, source):
            key_id, key = _parse(entry, where)
            if key_id in keys:
                raise WrongKeyring(f"The keyring {source} has two keys named {key_id}.")
            keys[key_id] = key
        if not keys:
            raise WrongKeyring(f"The keyring {source} is empty. Put it back from your backup.")
        return cls(keys)

    @classmethod
    def add_key(cls, path: Path) -> Self:
        """Put a fresh key first in the file, durably; the older ones stay readable.

        Running servers seal with the old key until they load the file again.
        """
        old = cls.load(path)
        lines = [_line(_new_id(len(old.keys)), _new_key())]
        lines += [_line(key_id, key) for key_id, key in old.keys.items()]
        text = _HEADING + "".join(lines)
        draft = _write_draft(path, text)
        draft.replace(path)
        sync_folder(path.parent)
        return cls.from_text(text, str(path))

    @property
    def current(self) -> str:
        """The id of the key that seals."""
        return next(iter(self.keys))

    def wrap(self, data_key: bytes, aad: bytes) -> Envelope:
        """Wrap a data key with the current key, bound to `aad` (see `crypto.bind`)."""
        nonce = os.urandom(_NONCE)
        wrapped = AESGCM(self.keys[self.current]).encrypt(nonce, data_key, aad)
        return Envelope(self.current, nonce + wrapped)

    def unwrap(self, envelope: Envelope, aad: bytes) -> bytes:
        """The data key. Raises Unreadable for another `aad`, an unknown key or changed bytes."""
        key = self.keys.get(envelope.key_id)
        if key is None:
            raise Unreadable(
                f"It was sealed with the key {envelope.key_id!r}, which the keyring does not have.",
                code="unknown-key",
                key_id=envelope.key_id,
            )
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
        if envelope.key_id == self.current:
            return envelope
        return self.wrap(self.unwrap(envelope, aad), aad)


def _entries(text: str, source: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.lstrip().startswith("#"):
            for entry in line.split(";"):
                if entry.strip():
                    yield f"Line {number} of the keyring {source}", entry


def _parse(line: str, where: str) -> tuple[str, bytes]:
    words = line.split()
    if len(words) != 2 or not _KEY_ID.fullmatch(words[0]):
        raise WrongKeyring(f"{where} is not `name base64`.")
    try:
        key = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        raise WrongKeyring(f"{where}: the key {words[0]} is not base64.") from None
    if len(key) != 32:
        raise WrongKeyring(f"{where}: the key {words[0]} has {len(key) * 8} bits, not 256.")
    return words[0], key


def _line(key_id: str, key: bytes) -> str:
    return f"{key_id} {base64.b64encode(key).decode('ascii')}\n"


def _new_id(existing: int) -> str:
    # The random part tells two installations' keys apart when a backup meets the wrong keyring.
    return f"k{existing + 1}-{secrets.token_hex(4)}"


def _new_key() -> bytes:
    return AESGCM.generate_key(256)


def _write_draft(path: Path, text: str) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:  # whatever stopped it: no half-written key stays on the disk
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        raise
    return draft
