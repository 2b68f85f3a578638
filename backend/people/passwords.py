"""Passwords of people: hashed with argon2id, a few at a time, and protected against guessing."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from backend.errors import Invalid, Throttled
from backend.offload import Room, off_loop

MIN_LENGTH = 12
MAX_LENGTH = 1024
MEMORY_KIB = 46 * 1024
PASSES = 2

FREE_ATTEMPTS = 10  # for a name; after them one more every
ATTEMPT_EVERY_SECONDS = 30.0
NAMES_REMEMBERED = 10_000

_HASHER = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1)
# each check takes that memory and one core
ROOM = Room(2, seconds=2.0, refusal="Too many passwords are being checked. Try again.")


@dataclass(frozen=True)
class Match:
    fits: bool
    outdated: bool = False  # it is right, but was hashed with other parameters than today's


def hash_new(password: str) -> str:
    """The hash of a new password.

    Raises Invalid with the rule for passwords, and Unavailable as `hashed` does.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise Invalid(
            f"A password needs at least {MIN_LENGTH} characters, and at most {MAX_LENGTH}.",
            code="password-too-short" if len(password) < MIN_LENGTH else "password-too-long",
        )
    return hashed(password)


def hashed(password: str) -> str:
    """The hash of a password. Raises Unavailable when too many are being computed.

    Like `verify`, it takes a tenth of a second: do not call it inside a transaction.
    """
    with ROOM.enter():
        return off_loop(_HASHER.hash, _bytes(password))


def verify(kept: str | None, password: str) -> Match:
    """Whether the password is right. None takes the same time. Raises Unavailable as `hashed`."""
    with ROOM.enter():
        fits = off_loop(_verify, kept, password)
    return Match(fits, outdated=fits and kept is not None and _HASHER.check_needs_rehash(kept))


def _verify(kept: str | None, password: str) -> bool:
    nobodys = _nobodys()  # computed at the first call, for known and unknown names alike
    try:
        return _HASHER.verify(kept or nobodys, _bytes(password)) and kept is not None
    except (VerificationError, InvalidHashError):
        return False


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


@cache
def _nobodys() -> str:
    return _HASHER.hash(b"nobody's")


class Throttle:
    """Limits the attempts for each name. They are counted in the memory of this process.

    A table would be slower, and somebody who guesses could fill the disk. The count is lost at a
    restart, and N server processes allow N times as many attempts: with passwords of at least 12
    characters neither helps to guess.
    """

    def __init__(self, free: int = FREE_ATTEMPTS, every: float = ATTEMPT_EVERY_SECONDS) -> None:
        self._free, self._every = free, every
        self._spent: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        self._guard = threading.Lock()

    def attempt(self, name: str) -> None:
        """Count one attempt. Raises Throttled, with the seconds to wait."""
        wait = self._take(_key(name))
        if wait > 0:
            raise Throttled("Too many wrong passwords for this name.", seconds=wait)

    def is_over(self, name: str) -> bool:
        """Count one attempt, and return whether it is one too many."""
        return self._take(_key(name)) > 0

    def forget(self, name: str) -> None:
        """Reset the count after a right password."""
        with self._guard:
            self._spent.pop(_key(name), None)

    def _take(self, key: bytes) -> float:
        """Count the attempt and return 0, or return the seconds until the next one is allowed."""
        with self._guard:
            spent, at = self._spent.get(key, (0.0, 0.0))
            spent = max(0.0, spent - (time.monotonic() - at) / self._every)
            if spent > self._free - 1:
                return (spent - self._free + 1) * self._every
            self._spent[key] = (spent + 1, time.monotonic())
            self._spent.move_to_end(key)
            while len(self._spent) > NAMES_REMEMBERED:
                self._spent.popitem(last=False)
            return 0.0


def _key(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
