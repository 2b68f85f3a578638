"""Examine the proven rows, to find those that were changed, or put back from an older copy.

A row that was changed or forged has no fitting proof, and is refused wherever it is used. A row
that was put back has one, so it is compared with the audit log, which names the revision of every
change (`rows` of an entry) and the number of every version of a state.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.audit import chain
from backend.models import AuditEntry, Proven, State
from backend.sealing import proven
from backend.sealing.proofs import Proofs, reader, reference_of
from backend.sealing.sealed import Unopened
from backend.states import states
from backend.transactions import Installation

EVERY_SECONDS = 600.0
PAGE = 300
LATE = timedelta(hours=1)  # an entry may be committed so much later than it was made
TRIES = 3

log = structlog.get_logger()


class Examination:
    """What the audit log knows, and the rows that differ from it. It goes on page by page."""

    def __init__(self, here: Installation) -> None:
        self._here = here
        self._revisions: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._read_at: float | None = None  # when the log was last read
        self.examined: Counter[str] = Counter()

    def run(self) -> Iterator[list[Unopened]]:
        """Read what is new in the log, then examine every row. Yields after each page."""
        began = time.monotonic()
        after = self._begin()
        while after is not None:
            after = self._read_log(after)
            yield []
        self._read_at = began
        self.examined.clear()
        for model in proven.MODELS:
            place: tuple[Any, ...] | None = ()
            while place is not None:
                found, place = self._examine(model, place or None)
                yield found

    def _begin(self) -> str | None:
        if self._read_at is None:
            return ""
        since = LATE + timedelta(seconds=time.monotonic() - self._read_at)
        with self._here.database.reading() as db:
            return chain.before_recent(db, since)

    def _read_log(self, after: str) -> str | None:
        """Read a page of the audit log. Returns where the next one begins."""
        with self._here.database.reading() as db:
            page = db.execute(_LOG.where(AuditEntry.id > after)).all()
        for entry in page:
            for name, revision in entry.detail.get("rows", {}).items():
                self._revisions[name] = max(revision, self._revisions.get(name, 0))
            if entry.action.startswith("state.") and isinstance(entry.detail.get("number"), int):
                known = self._numbers.get(entry.object, 0)
                self._numbers[entry.object] = max(entry.detail["number"], known)
        return page[-1].id if len(page) == PAGE else None

    def _examine(
        self, model: type[Proven], after: tuple[Any, ...] | None
    ) -> tuple[list[Unopened], tuple[Any, ...] | None]:
        """Examine a page of a table. Returns what is wrong, and where the next page begins."""
        with self._here.database.reading() as db:
            page = proven.page(db, model, after, PAGE)
            suspects = [row for row in page if self._fault(db, model, row) is not None]
        self.examined[model.__tablename__] += len(page) - len(suspects)
        found = [self._again(model, reference_of(model, row)) for row in suspects]
        last = tuple(getattr(page[-1], name) for name in model.KEY) if len(page) == PAGE else None
        return [one for one in found if one is not None], last

    def _again(self, model: type[Proven], name: str) -> Unopened | None:
        """Look at a suspect again: it may have been changed just now."""
        for _ in range(TRIES):
            with self._here.database.reading() as db:
                row = proven.one(db, model, name)
                fault = None if row is None else self._fault(db, model, row)
            if fault is None:
                return None
        return Unopened(model.__tablename__, name, fault or "")

    def _fault(self, db: Session, model: type[Proven], row: Any) -> str | None:
        proofs: Proofs = self._here.keyring.proofs
        if not proofs.fits(model, reader(model)(row), row.proof):
            return "Stateroom did not write this row: it was changed or added in the database."
        known = self._revisions.get(reference_of(model, row), 0)
        if row.revision < known:
            return "An older copy of this row was put back: the audit log has a later change of it."
        return self._fault_of_state(db, row) if model is State else None

    def _fault_of_state(self, db: Session, row: Any) -> str | None:
        last = max(states.last_number(db, row.id), self._numbers.get(row.id, 0))
        if last == row.current:
            return None
        return f"It says that version {row.current} is the newest, but version {last} was written."


class Examiner:
    """The duty that examines all rows again and again; `suspects` has those that are wrong."""

    def __init__(self, here: Installation) -> None:
        self._examination = Examination(here)
        self._suspects = here.suspects
        self._run: Iterator[list[Unopened]] | None = None
        self._found: dict[str, str] = {}

    def __call__(self) -> float:
        """Examine another page, and return the seconds until the next call."""
        if self._run is None:
            self._run, self._found = self._examination.run(), {}
        page = next(self._run, None)
        if page is not None:
            self._found |= {f"{one.table} {one.id}": one.reason for one in page}
            return 0.1
        for name in self._found.keys() - self._suspects.keys():
            log.error("row_changed", row=name, reason=self._found[name])
        self._suspects.clear()
        self._suspects.update(self._found)
        self._run = None
        return EVERY_SECONDS


_LOG = (
    select(AuditEntry.id, AuditEntry.action, AuditEntry.object, AuditEntry.detail)
    .order_by(AuditEntry.id)
    .limit(PAGE)
)
