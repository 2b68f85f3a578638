"""Passwords that people chose: hashed with argon2id, a few at a time."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from backend.errors import Invalid
from backend.offload import Room, off_loop

MIN_LENGTH = 12
MAX_LENGTH = 1024
MEMORY_KIB = 46 * 1024
PASSES = 2

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # without those that look alike
_HASHER = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1)
# each check takes that memory and one core
ROOM = Room(2, seconds=2.0, refusal="Too many passwords are being checked. Try again.")


@dataclass(frozen=True)
class Match:
    fits: bool
    outdated: bool = False  # it is right, but was hashed with other parameters than today's


def generated() -> str:
    """A new password of 100 random bits, which people can read to each other."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(20))
    return "-".join(letters[start : start + 5] for start in range(0, 20, 5))


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


def hashed(password: str, *, room: Room = ROOM) -> str:
    """The hash of a password. Raises Unavailable when too many are being computed.

    Like `verify`, it takes a tenth of a second: do not call it inside a transaction.
    """
    with room.enter():
        return off_loop(_HASHER.hash, _bytes(password))


def verify(
    kept: str | None, password: str, count: Callable[[], None], *, room: Room = ROOM
) -> Match:
    """Whether the password is right. None takes the same time. Raises Unavailable as `hashed`.

    `count` counts the attempt, when it is this one's turn: many that wait cost no writes, and all
    of them are counted before they learn anything. It may raise.
    """
    with room.enter():
        count()
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
