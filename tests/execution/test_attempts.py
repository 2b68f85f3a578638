"""How an attempt that met a fault ends its run."""

from __future__ import annotations

import errno

import pytest

from backend.models import Run
from backend.transactions import Installation
from execution.attempts import attempt
from execution.events import Execution
from tests.execution.test_events import run
from tests.support.databases import one_database

__all__ = ["run"]  # a fixture
FULL = OSError(errno.ENOSPC, "No space left on device")


def error_of(here: Installation, of: Run) -> str | None:
    with here.itself.reading() as tx:
        return tx.db.get_one(Run, of.id).error_code


@one_database
@pytest.mark.parametrize(
    ("applies", "code"), [(False, "disk-full"), (True, "runner-crashed")], ids=["before", "after"]
)
def test_a_full_disk_is_told_as_harmless_only_before_the_apply_has_begun(
    here: Installation, run: Run, *, applies: bool, code: str
) -> None:
    at_work = Execution(here, run)
    at_work.planning()
    if applies:
        assert at_work.planned({"add": 1}, "0" * 64)

    attempt(at_work, FULL, "http://127.0.0.1:9")

    assert error_of(here, run) == code
