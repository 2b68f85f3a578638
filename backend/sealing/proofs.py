"""Proofs: keyed hashes of rows, so that a row that was edited or forged in the database is refused.

    proof = HMAC-SHA-256(proof key, the table || the row's revision || the columns that decide)

The proof key is random, and sealed with the keyring. `models/proven.py` names the columns.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from backend.errors import Unreadable
from backend.models import Proven
from backend.sealing.packed import split

ROW_CHANGED = "row-changed"
_REMEMBERED = 4096  # proofs; most requests of a client need the same ones

Values = tuple[Any, ...]
Reader = Callable[[Any], Values]


class Proofs:
    """Makes and checks proofs. Without a key nothing has a proof, and nothing fits one."""

    def __init__(self, key: bytes = b"") -> None:
        self._key = key
        self._made = lru_cache(maxsize=_REMEMBERED)(self._make)

    @property
    def has_key(self) -> bool:
        return bool(self._key)

    def of(self, model: type[Proven], values: Values) -> bytes | None:
        """The proof of a row with these values (see `reader`), or None without a key."""
        return self._made(model.__tablename__, values) if self._key else None

    def fits(self, model: type[Proven], values: Values, proof: bytes | None) -> bool:
        """Whether Stateroom itself wrote a row with these values."""
        made = self.of(model, values)
        return made is not None and proof is not None and hmac.compare_digest(made, proof)

    def fingerprint(self, text: bytes) -> str:
        """A keyed hash, in hex, which tells nobody else what the text is."""
        return hmac.digest(self._key, b"fingerprint\0" + text, "sha256").hex()

    def check(self, row: Proven) -> None:
        """Raise Unreadable `row-changed` unless Stateroom itself wrote this row."""
        if not self.fits(type(row), reader(type(row))(row), row.proof):
            raise changed(type(row), reference(row))

    def _make(self, table: str, values: Values) -> bytes:
        plain = [_plain(value) for value in values]
        while plain and plain[-1] is None:  # so that columns can be added at the end
            plain.pop()
        message = msgspec.msgpack.encode([table, *plain])
        return hmac.digest(self._key, message, "sha256")


def changed(model: type[Proven], name: str) -> Unreadable:
    return Unreadable(
        f"The row {name} of the table {model.__tablename__} is not as Stateroom wrote it: somebody "
        "changed it in the database. Nothing is done with it. The operator finds out what was "
        "changed, puts it right or deletes it, and can accept it with `stateroom keys accept`.",
        code=ROW_CHANGED,
        table=model.__tablename__,
        id=name,
    )


def reference(row: Proven) -> str:
    """A row's primary key as text."""
    return reference_of(type(row), row)


def reference_of(model: type[Proven], row: Any) -> str:
    return "/".join(str(getattr(row, name)) for name in model.KEY)


def reader(model: type[Proven], **renamed: str) -> Reader:
    """A function that gets the values of a row that decide. `renamed`: a column's other name."""
    names = tuple(renamed.get(name, name) for name in covered(model))
    known = _readers.get((model.__tablename__, names))
    if known is None:
        known = _readers[model.__tablename__, names] = _reader(model, names)
    return known


_readers: dict[tuple[str, tuple[str, ...]], Reader] = {}


def _reader(model: type[Proven], names: tuple[str, ...]) -> Reader:
    get = attrgetter(*names)
    if model.SEALED is None:
        return get
    place = covered(model).index(model.SEALED)

    def read(row: Any) -> Values:
        values = get(row)
        return (*values[:place], body_of(values[place]), *values[place + 1 :])

    return read


def covered(model: type[Proven]) -> Sequence[str]:
    return ("revision", *model.PROVES)


def body_of(packed: bytes | None) -> bytes | None:
    """What stands for a packed value: a rotation of the keyring changes only the rest of it."""
    if packed is None:
        return None
    try:
        return hashlib.sha256(split(bytes(packed)).ciphertext).digest()
    except Unreadable:
        return b""  # it does not open anyway


def _plain(value: Any) -> Any:
    if value is None or value is False:
        return None
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    return bytes(value) if isinstance(value, memoryview) else value
