"""The file of the keyring: one named 256-bit key on each line. It is replaced atomically.

k1-5f3a9c2e mKq0…
k2-90ab12cd 3q2+7w…
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backend.sealing.durable import sync_folder

Keys = Mapping[str, bytes]

_KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NUMBER = re.compile(r"k(\d{1,9})-")
_HEADING = (
    "# The keyring of Stateroom. Without it, the stored states and secrets cannot be read.\n"
    "# Back it up apart from the database. Every key here opens. `stateroom keys status` shows\n"
    "# which one seals: that is stored in the database.\n"
)


class WrongKeyring(Exception):
    """The keyring cannot be used. The message names it and says what to do."""


class ReadOnlyKeyring(WrongKeyring):
    """The keyring cannot be changed from here. The message says what to do instead."""


def parse(text: str, source: str) -> dict[str, bytes]:
    """Parse lines of `name base64`, also separated by semicolons. Raises WrongKeyring."""
    keys: dict[str, bytes] = {}
    for where, entry in _entries(text, source):
        key_id, key = _parse(entry, where)
        if key_id in keys:
            raise WrongKeyring(f"The keyring {source} has two keys named {key_id}.")
        keys[key_id] = key
    if not keys:
        raise WrongKeyring(f"The keyring {source} is empty. Restore it from your backup.")
    return keys


def read(path: Path, *, forbidden_mode: int = 0o077) -> dict[str, bytes]:
    """Read a keyring file.

    Raises WrongKeyring when it is missing, invalid, or its mode has one of the forbidden bits.
    """
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & forbidden_mode:
                raise WrongKeyring(
                    f"The keyring {path} can be read by others (mode {mode:04o}). "
                    f"Run: chmod 600 {path}"
                )
            return parse(file.read(), str(path))
    except FileNotFoundError:
        raise WrongKeyring(f"The keyring {path} is missing. Restore it from your backup.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise WrongKeyring(f"The keyring {path} cannot be read: {error}") from None


def create(path: Path) -> dict[str, bytes]:
    """Create a keyring file with one new key, durably. Raises FileExistsError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = parse(new_line({}), str(path))
    write_copy(path, keys)
    return keys


def write_copy(path: Path, keys: Keys) -> None:
    """Write the keys to a new file, durably. Raises FileExistsError."""
    draft = _write_draft(path, _HEADING + _lines(keys))
    try:
        # Linking is atomic and, unlike renaming, never replaces a file.
        os.link(draft, path)
    finally:
        draft.unlink()
    sync_folder(path.parent)


def add(path: Path) -> str:
    """Append a new key to the file, durably, and return its id. Raises ReadOnlyKeyring.

    Concurrent calls add one key each.
    """
    with _changing(path):
        keys = read(path)
        line = new_line(keys)
        _replace(path, _lines(keys) + line)
    return line.split()[0]


def remove(path: Path, key_id: str) -> None:
    """Remove a key from the file, durably. Raises ReadOnlyKeyring."""
    with _changing(path):
        _replace(path, _lines({i: key for i, key in read(path).items() if i != key_id}))


def put_back(path: Path, key_id: str, key: bytes) -> None:
    """Undo `remove`. Raises ReadOnlyKeyring."""
    with _changing(path):
        _replace(path, _lines({**read(path), key_id: key}))


def new_line(keys: Keys) -> str:
    """A line with a new key, whose number is one above those of the existing keys."""
    numbers = [int(found[1]) for key_id in keys if (found := _NUMBER.match(key_id))]
    # The random part keeps keys of two installations apart, in case a keyring gets mixed up.
    key_id = f"k{max([len(keys), *numbers]) + 1}-{secrets.token_hex(4)}"
    return _lines({key_id: AESGCM.generate_key(256)})


def stamp(path: Path) -> tuple[int, ...] | None:
    """A value that changes whenever the file does, or None if the file cannot be examined."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size, found.st_mode


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


def _lines(keys: Keys) -> str:
    return "".join(
        f"{key_id} {base64.b64encode(key).decode('ascii')}\n" for key_id, key in keys.items()
    )


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[None]:
    """Allow one change at a time: with two, the key that one of them adds could be lost."""
    try:
        lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _read_only(path, error) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _replace(path: Path, lines: str) -> None:
    try:
        draft = _write_draft(path, _HEADING + lines)
        try:
            draft.replace(path)
        except OSError:
            draft.unlink()
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise _read_only(path, error) from None


def _read_only(path: Path, error: OSError) -> ReadOnlyKeyring:
    return ReadOnlyKeyring(
        f"The keyring {path} cannot be changed here: {error.strerror}. Change the file that it was "
        "copied from: add the line that `stateroom keys new` prints, distribute it to all "
        "machines, then run `stateroom keys activate KEY_ID`."
    )


def _write_draft(path: Path, text: str) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:  # never leave a half-written keyring on the disk
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        raise
    return draft
