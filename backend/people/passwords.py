"""People's passwords: hashed with argon2id, checked a few at a time, guessed slowly."""

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

FREE_ATTEMPTS = 10  # for a name; then one comes back every
ATTEMPT_EVERY_SECONDS = 30.0
NAMES_REMEMBERED = 10_000

_HASHER = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1)
# each takes the memory and a core
ROOM = Room(2, seconds=2.0, refusal="Too many passwords are being checked. Try again.")


@dataclass(frozen=True)
class Match:
    fits: bool
    outdated: bool = False  # it fits, and was hashed with other parameters than today's


def hash_new(password: str) -> str:
    """What is kept of a password that somebody chooses.

    Raises Invalid with the rule for passwords, and Unavailable as `hashed`.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise Invalid(
            f"A password has at least {MIN_LENGTH} characters, and at most {MAX_LENGTH}.",
            code="password-too-short" if len(password) < MIN_LENGTH else "password-too-long",
        )
    return hashed(password)


def hashed(password: str) -> str:
    """What is kept of it. Raises Unavailable when too many are at work.

    Never inside of a transaction: it takes a tenth of a second. So does `verify`.
    """
    with ROOM.enter():
        return off_loop(_HASHER.hash, _bytes(password))


def verify(kept: str | None, password: str) -> Match:
    """Whether it is the one; against None in the same time. Raises Unavailable as `hashed` does."""
    with ROOM.enter():
        fits = off_loop(_verify, kept, password)
    return Match(fits, outdated=fits and kept is not None and _HASHER.check_needs_rehash(kept))


def _verify(kept: str | None, password: str) -> bool:
    nobodys = _nobodys()  # made once, whoever comes first
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
    """Attempts on a name are counted, before they are made, in this process's memory.

    In memory, because a table would let whoever guesses fill the disk, and be slow for a person
    who mistyped. A restart forgets; N server processes allow N times as many attempts: with
    12 letters and more, neither helps to guess.
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
        """Count one attempt: whether it is one too many."""
        return self._take(_key(name)) > 0

    def forget(self, name: str) -> None:
        """It was the right one."""
        with self._guard:
            self._spent.pop(_key(name), None)

    def _take(self, key: bytes) -> float:
        """The seconds until the next attempt; 0 when this one is counted."""
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
