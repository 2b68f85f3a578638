"""The login of an alias: whose request it is, and how often somebody may guess.

A generated password has 256 random bits: one hash tells whether it is right, and nobody guesses it.
One that a person chose is that of a stored key, which is sealed. What is sent is compared by way of
argon2, a few at a time for all addresses together, and only once in PROVEN_SECONDS: what was right
is remembered as a keyed hash, by a key that no other process has. argon2's hash is never stored,
since a database that is stolen without its keyring would then have something to guess at.

A right password that is generated, or was right just now, takes no statement and no throttle.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections import OrderedDict
from functools import cache
from typing import Any

from backend.catalogue import keys
from backend.errors import Forbidden, Unauthorised
from backend.offload import Room
from backend.people import passwords, throttles
from backend.principal import Principal
from backend.sealing import crypto
from backend.states import aliases
from backend.states.aliases import SCOPES
from backend.transactions import Installation

PROVEN_SECONDS = 600.0
REMEMBERED = 10_000
# apart from those who sign in: who guesses at an alias must not keep people out
ROOM = Room(2, seconds=2.0, refusal="Too many passwords are being checked. Try again.")

_NOBODY = bytes(32)


class _Recent:
    """Values that are forgotten after some time, or when there are too many."""

    def __init__(self, seconds: float = PROVEN_SECONDS, most: int = REMEMBERED) -> None:
        self._seconds, self._most = seconds, most
        self._kept: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    def get(self, key: bytes) -> str | None:
        until, value = self._kept.get(key, (0.0, ""))
        return value if time.monotonic() < until else None

    def put(self, key: bytes, value: str) -> None:
        self._kept[key] = (time.monotonic() + self._seconds, value)
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)


class _Chosen:
    """What this process knows of passwords that people chose: none of them in clear."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._proven = _Recent()  # keyed hashes of logins that were right
        self._hashes = _Recent()  # argon2's of the right passwords

    def mark(self, row: Any, username: str, password: str) -> bytes:
        """A keyed hash of a login at this alias, as long as its stored key is what it is now."""
        parts = [row.alias_id, row.username, username, password]
        given = [part.encode("utf-8", "surrogatepass") for part in parts] + [row.secret or b""]
        lengths = b"".join(len(part).to_bytes(8, "big") for part in given)
        return hmac.digest(self._key, lengths + b"".join(given), "sha256")

    def is_proven(self, mark: bytes) -> bool:
        return self._proven.get(mark) is not None

    def prove(self, mark: bytes) -> None:
        self._proven.put(mark, "proven")

    def hash_of(self, sealed: bytes, password: str) -> str:
        """argon2's hash of the right password, computed once. Raises Unavailable."""
        key = hmac.digest(self._key, sealed, "sha256")
        found = self._hashes.get(key)
        if found is None:
            found = passwords.hashed(password, room=ROOM)
            self._hashes.put(key, found)
        return found


@cache
def _chosen() -> _Chosen:
    """Made when it is first needed, so that each server process has a key of its own."""
    return _Chosen()


def log_in(here: Installation, row: Any, username: str, password: str, address: str) -> Principal:
    """The principal of a login at an alias, with the scopes of the alias for its state only.

    `row` has the COLUMNS of aliases, or is None for an unknown, revoked or expired alias. That and
    a wrong login raise the same Unauthorised. After some of these for one alias, counted by the
    `address` of the client, Throttled is raised; an unknown address, which has 134 random bits, is
    not counted. Raises Unreadable when the stored key of the login cannot be opened, Unavailable
    when too many passwords are being checked, and Forbidden for a right one that is too short.
    """
    if row is not None and not aliases.is_ours(here.keyring.proofs, row):
        row = None
    if row is not None and row.login_key_id is not None:
        _check_chosen(here, row, username, password, address)
    else:
        _check_generated(here, row, username, password, address)
    return _principal(row)


def _check_generated(
    here: Installation, row: Any, username: str, password: str, address: str
) -> None:
    expected = _NOBODY * 2
    if row is not None:
        expected = crypto.token_hash(row.username) + (row.password_hash or _NOBODY)
    given = crypto.token_hash(username) + crypto.token_hash(password)
    if not hmac.compare_digest(given, expected):
        if row is not None:
            throttles.count(here.database, _counters(row, address))
        raise _wrong()


def _check_chosen(here: Installation, row: Any, username: str, password: str, address: str) -> None:
    known = _chosen()
    mark = known.mark(row, username, password)
    if known.is_proven(mark):
        return
    counters = _counters(row, address)
    throttles.check(here.database, counters)
    kept = keys.opened_row(here.keyring, row.login_key_id, row.secret)["password"]

    def count() -> None:
        throttles.count(here.database, counters)

    fits = passwords.verify(known.hash_of(row.secret, kept), password, count, room=ROOM).fits
    if not fits or not hmac.compare_digest(
        crypto.token_hash(username), crypto.token_hash(row.username)
    ):
        raise _wrong()
    if len(kept) < keys.MIN_LOGIN_PASSWORD:
        raise Forbidden(
            f"The password of this login has fewer than {keys.MIN_LOGIN_PASSWORD} characters, so "
            "it opens nothing: give its stored key a longer one.",
            code="password-too-short",
        )
    throttles.forgive(here.database, counters)
    known.prove(mark)


def _principal(row: Any) -> Principal:
    return Principal(
        name=f"alias {row.alias_name}",
        token_id=row.alias_id,
        scopes=frozenset(SCOPES[row.access]),
        project_id=row.project_id,
        state_id=row.state_id,
        expires_at=row.expires_at,
        use_is_due=bool(row.use_is_due),
    )


def _counters(row: Any, address: str) -> list[throttles.Counter]:
    return throttles.of_login("alias", row.alias_id, address)


def _wrong() -> Unauthorised:
    return Unauthorised(
        "This login does not open this address: one of them is mistyped, or the alias is "
        "expired or revoked. Send the alias's username and password, or a token."
    )
