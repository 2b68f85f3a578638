"""The plans of runs: kept sealed, bound to the run and the claim that planned, read in pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import and_, delete, func, insert, or_, select
from sqlalchemy.orm import Session

from backend import audit
from backend.catalogue import projects
from backend.errors import Conflict, NotFound, Unreadable
from backend.models import TRANSFERS, PlanDocument, Run
from backend.offload import off_loop
from backend.principal import REPORT
from backend.runs import claims, plan_index, queue
from backend.runs.plan_index import Head, Index, Kind, Wanted
from backend.sealing import bindings
from backend.sealing.crypto import open_value, seal_value
from backend.sealing.keyring import Keyring
from backend.transactions import Caller, Transaction

_BEFORE = ("queued", "preparing", "planning")


@dataclass(frozen=True)
class Part:
    """One part of a plan in clear. The index has to come last."""

    kind: Kind
    number: int
    content: bytes


@dataclass(frozen=True)
class Found:
    """A page of a plan. What is `Raw` is JSON already."""

    run: Run
    index: Index
    resources: Sequence[msgspec.Raw]
    next_cursor: str | None
    outputs: msgspec.Raw
    drift: msgspec.Raw


@dataclass(frozen=True)
class Contents:
    """What a plan says beside the values of its resources. What is `Raw` is JSON already.

    `epoch` is the claim that made it.
    """

    epoch: int
    index: Index
    outputs: Sequence[msgspec.Raw]
    drift: Sequence[msgspec.Raw]


def seal(keyring: Keyring, run_id: str, epoch: int, part: Part) -> PlanDocument:
    """A row that is not stored yet."""
    bound = bindings.plan_document(run_id, epoch, part.kind, part.number)
    return PlanDocument(
        run_id=run_id,
        epoch=epoch,
        kind=part.kind,
        number=part.number,
        sealed=seal_value(keyring, part.content, bound),
    )


def store(tx: Transaction, rows: Sequence[PlanDocument]) -> None:
    """Store parts of the plan of the calling run. Repeating it is harmless. Raises Moved.

    With its index a plan is complete, and replaces that of an earlier claim.
    """
    tx.require(REPORT, tx.principal.project_id)
    if not rows:
        return
    run = claims.own(tx)
    here = [and_(PlanDocument.kind == row.kind, PlanDocument.number == row.number) for row in rows]
    of_claim = and_(PlanDocument.epoch == run.epoch, or_(*here))
    replaced = [of_claim]
    if any(row.kind == "index" for row in rows):
        replaced.append(PlanDocument.epoch < run.epoch)
    tx.db.execute(delete(PlanDocument).where(PlanDocument.run_id == run.id, or_(*replaced)))
    values = [{c.name: getattr(row, c.name) for c in PlanDocument.__table__.c} for row in rows]
    tx.db.execute(insert(PlanDocument), values)


def read(caller: Caller, project: str, run_id: str, wanted: Wanted) -> Found:
    """Resources of the plan of a run, in its order, with its outputs and what changed outside.

    Raises NotFound, also with `plan-missing`, Conflict for a cursor of another plan, and
    Unreadable.
    """
    with caller.reading() as tx:
        run = queue.get(tx, projects.named(tx, project), run_id)
        epoch = _epoch(tx.db, run)
        parts = _opened(tx, run, epoch, "index", "outputs", "drift")
    index = off_loop(plan_index.read_index, parts["index", 0])
    limit = wanted.limit
    chosen = off_loop(plan_index.chosen, index, wanted, _after(wanted.cursor, epoch))
    heads = [head for _, head in chosen[:limit]]
    with caller.reading() as tx:
        pages = _pages(tx, run, epoch, {head.page for head in heads})
    return Found(
        run=run,
        index=index,
        resources=off_loop(lambda: list(plan_index.items(pages, heads))),
        next_cursor=f"{epoch}_{chosen[limit - 1][0]}" if len(chosen) > limit else None,
        outputs=msgspec.Raw(parts["outputs", 0]),
        drift=msgspec.Raw(parts["drift", 0]),
    )


def index_of(tx: Transaction, run: Run) -> Index:
    """What the plan of a run has, in one statement. Raises NotFound and Unreadable."""
    tx.require("runs:read", run.project_id)
    row = tx.db.scalars(
        select(PlanDocument)
        .where(PlanDocument.run_id == run.id, PlanDocument.kind == "index")
        .order_by(PlanDocument.epoch.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        raise NotFound(f"The run {run.id} has no plan.", code="plan-missing")
    return plan_index.read_index(_clear(tx.keyring, row))


def find(tx: Transaction, run: Run) -> Contents | None:
    """What the plan of a run says; None: there is none (`why_missing`). Raises Unreadable."""
    tx.require("runs:read", run.project_id)
    kinds = PlanDocument.kind.in_(("index", "outputs", "drift"))
    rows = tx.db.scalars(select(PlanDocument).where(PlanDocument.run_id == run.id, kinds)).all()
    epoch = max((row.epoch for row in rows if row.kind == "index"), default=None)
    if epoch is None:
        return None
    parts = {row.kind: _clear(tx.keyring, row) for row in rows if row.epoch == epoch}
    return Contents(
        epoch=epoch,
        index=off_loop(plan_index.read_index, parts["index"]),
        outputs=msgspec.json.decode(parts["outputs"], type=list[msgspec.Raw]),
        drift=msgspec.json.decode(parts["drift"], type=list[msgspec.Raw]),
    )


def find_resources(
    tx: Transaction, run: Run, epoch: int, heads: Sequence[Head]
) -> Sequence[msgspec.Raw]:
    """Resources of the plan that this claim made, with their values. Raises Unreadable."""
    tx.require("runs:read", run.project_id)
    pages = _pages(tx, run, epoch, {head.page for head in heads})
    return off_loop(lambda: list(plan_index.items(pages, heads)))


def download(caller: Caller, project: str, run_id: str) -> tuple[int, Iterator[bytes]]:
    """The JSON of the plan as the tool wrote it: its size, and its pieces.

    Audited, because it contains secrets. Raises NotFound, also with `plan-missing` and
    `plan-json-not-kept`, Forbidden, and Unreadable.
    """
    with caller.transaction() as tx:
        run = queue.get(tx, projects.named(tx, project), run_id)
        tx.require("state:read", run.project_id)
        epoch = _epoch(tx.db, run)
        index = plan_index.read_index(_opened(tx, run, epoch, "index")["index", 0])
        audit.record(tx, "plan.download", run.id, project_id=run.project_id)
        kept = tx.db.scalar(
            select(func.count()).where(*_of(run, epoch), PlanDocument.kind == "json")
        )
    if index.json_pieces == 0:
        raise NotFound(
            f"The JSON of this plan has {index.json_bytes:,} bytes, which is too much to be kept.",
            code="plan-json-not-kept",
        )
    if kept != index.json_pieces:
        raise Unreadable("Parts of this plan are missing in the database.")
    return index.json_bytes, _pieces(caller, run, epoch, index.json_pieces)


def _pieces(caller: Caller, run: Run, epoch: int, count: int) -> Iterator[bytes]:
    for number in range(count):
        with caller.reading() as tx:
            row = tx.db.get(PlanDocument, (run.id, epoch, "json", number))
        if row is None:
            raise Unreadable("A part of this plan is missing in the database.")
        yield _clear(caller.here.keyring, row)


def _epoch(db: Session, run: Run) -> int:
    """The claim that made the plan of a run. Raises NotFound `plan-missing`."""
    found = db.scalar(
        select(func.max(PlanDocument.epoch)).where(
            PlanDocument.run_id == run.id, PlanDocument.kind == "index"
        )
    )
    if found is None:
        raise NotFound(f"The run {run.id} has no plan: {why_missing(run)}.", code="plan-missing")
    return found


def why_missing(run: Run) -> str:
    """Why a run has no plan, as the end of a sentence."""
    if run.operation in TRANSFERS:
        return "it moves a state, and plans nothing"
    if run.status in _BEFORE:
        return f"it is {run.status}"
    return "it ended before it had planned, or is of a version of Stateroom that kept none"


def _of(run: Run, epoch: int) -> tuple[Any, ...]:
    return PlanDocument.run_id == run.id, PlanDocument.epoch == epoch


def _opened(tx: Transaction, run: Run, epoch: int, *kinds: Kind) -> dict[tuple[str, int], bytes]:
    """All parts of these kinds. Raises Unreadable."""
    rows = tx.db.scalars(
        select(PlanDocument).where(*_of(run, epoch), PlanDocument.kind.in_(kinds))
    ).all()
    return {(row.kind, row.number): _clear(tx.keyring, row) for row in rows}


def _pages(tx: Transaction, run: Run, epoch: int, numbers: set[int]) -> Mapping[int, bytes]:
    wanted = PlanDocument.kind == "page", PlanDocument.number.in_(numbers)
    rows = tx.db.scalars(select(PlanDocument).where(*_of(run, epoch), *wanted)).all()
    if {row.number for row in rows} != numbers:
        raise Unreadable("Parts of this plan are missing in the database.")
    return {row.number: _clear(tx.keyring, row) for row in rows}


def _clear(keyring: Keyring, row: PlanDocument) -> bytes:
    bound = bindings.plan_document(row.run_id, row.epoch, row.kind, row.number)
    return open_value(keyring, row.sealed, bound)


def _after(cursor: str | None, epoch: int) -> int:
    """The position that a cursor names: -1 before the first resource."""
    if cursor is None:
        return -1
    of, _, position = cursor.partition("_")
    if of != str(epoch) or not position.isascii() or not position.isdecimal():
        raise Conflict("This cursor is of another plan: begin again.", code="cursor-outdated")
    return int(position)
