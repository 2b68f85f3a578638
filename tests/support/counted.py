"""How many SQL statements a page needs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from tests.support.visitor import Visitor

MOST = 8  # statements of a page, with those that find out who asks


@contextmanager
def counted() -> Iterator[list[str]]:
    """The texts of the statements that this thread asks any database meanwhile."""
    asked: list[str] = []
    here = threading.get_ident()  # applications of other tests may still have readers of their own

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if threading.get_ident() == here and not statement.startswith(
            ("BEGIN", "COMMIT", "ROLLBACK")
        ):
            asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def read_within(visitor: Visitor, path: str, most: int = MOST) -> str:
    """The text of a page, which may need so many statements at most."""
    with counted() as asked:
        page = visitor.read(path)
    assert len(asked) <= most, f"{path} needs {len(asked)} statements:\n" + "\n\n".join(asked)
    return page
