"""SQL statements that are compiled once, however many databases a test run makes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache

MOST = 4000


@contextmanager
def compiled_once() -> Iterator[None]:
    """Let all engines of a dialect share the texts that their statements are compiled to.

    To compile takes most of the CPU of a test that has a fresh database. An engine keeps what it
    has compiled, by statement and dialect; here two dialects of the same class are the same.
    """
    compiled: LRUCache[Any, Any] = LRUCache(MOST)
    begin = Engine.__init__

    def sharing(engine: Engine, *args: Any, **given: Any) -> None:
        begin(engine, *args, **given)
        engine._compiled_cache = compiled

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "__init__", sharing)
        patch.setattr(DefaultDialect, "__hash__", lambda self: hash(type(self)))
        patch.setattr(DefaultDialect, "__eq__", lambda self, other: type(self) is type(other))
        yield
