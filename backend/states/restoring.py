"""Restore an older version, or promote a rescued write, as a new version.

terraform and tofu accept any serial from the server, but Stateroom only stores a serial above the
newest one. So the document gets a serial above all others, and its other bytes are unchanged. A
document that OpenTofu encrypted has a second serial inside, and tofu refuses a document whose two
serials differ. Such a document keeps its bytes and its serial, and the version is recorded as
forced. The next apply then writes that serial + 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from sqlalchemy.orm import Session

from backend.documents import heading as document
from backend.documents import intake
from backend.documents.intake import Received
from backend.documents.serial import SerialSpan, find_serial, with_serial
from backend.errors import Conflict
from backend.models import RescuedWrite, State, StateVersion
from backend.sealing.blobs import Blobs
from backend.states import rescued, states, versions
from backend.states.states import OBJECTIONS, Origin
from backend.transactions import Caller, Transaction

_DIGITS = 19  # of the largest serial


@dataclass(frozen=True, slots=True)
class Rewriting:
    """A document to read, and its new serial, or None to keep its bytes as they are."""

    read: Callable[[], Iterator[bytes]]
    size: int
    serial: int | None

    def carry_out(self, blobs: Blobs) -> Received:
        """Write the document with its new serial. Call it while no transaction is open.

        It takes a second or two for the largest document. Raises Unreadable, and Conflict when the
        serial cannot be changed.
        """
        pieces = self.read()
        if self.serial is not None:
            heading, place = find_serial(pieces)
            pieces = self.read()
            if not heading.encrypted:
                pieces = with_serial(pieces, _found(place), self.serial)
        written = intake.receive(intake.Pieces(pieces), self.size + _DIGITS, blobs)
        if self.serial not in {None, written.heading.serial} and not written.heading.encrypted:
            raise _unknown_place()
        return written


def _found(place: SerialSpan | None) -> SerialSpan:
    if place is None:
        raise _unknown_place()
    return place


def _unknown_place() -> Conflict:
    return Conflict(
        "The serial of the document cannot be found. Download the document, set a serial above the "
        "newest one, and upload it.",
        code="serial-not-found",
    )


def restore(caller: Caller, project: str, workspace: str, which: str) -> StateVersion:
    """Store a version again, as the newest one, and return that. The newest is returned as it is.

    Raises NotFound, Forbidden, Locked with the holder, Gone, Conflict and Unreadable.
    """
    with caller.transaction() as tx:
        state = states.named(tx, project, workspace)
        version, rewriting = of_version(tx, state, which)
    written = rewriting.carry_out(caller.here.blobs)
    with caller.transaction() as tx:
        return roll_back(tx, states.named(tx, project, workspace), version, written)


def promote(
    caller: Caller, project: str, workspace: str, rescued_id: str, *, force: bool
) -> StateVersion:
    """Store a rescued write as the newest version. Another lineage needs `force`.

    Raises NotFound, Forbidden, Locked with the holder, Gone, Conflict and Unreadable.
    """
    with caller.transaction() as tx:
        state = states.named(tx, project, workspace)
        kept, rewriting = of_rescued(tx, state, rescued_id)
    written = rewriting.carry_out(caller.here.blobs)
    with caller.transaction() as tx:
        state = states.named(tx, project, workspace)
        return promote_written(tx, state, kept, written, force=force)


def of_version(tx: Transaction, state: State, which: str) -> tuple[StateVersion, Rewriting]:
    """The version to restore. Raises NotFound, Gone, Locked and Conflict."""
    tx.require("state:write", state.project_id)
    version = versions.numbered(tx.db, state, which)
    states.refuse_removed(version)
    states.at_rest(tx, state, version.size)
    serial = _next_serial(tx.db, state)
    content = partial(states.content, version, tx.keyring, tx.blobs)
    return version, Rewriting(content, version.size, serial)


def of_rescued(tx: Transaction, state: State, rescued_id: str) -> tuple[RescuedWrite, Rewriting]:
    """The rescued write to promote. Raises NotFound, Gone, Locked and Conflict."""
    tx.require("state:write", state.project_id)
    kept = rescued.named(tx.db, state, rescued_id)
    rescued.refuse_decided(kept)
    states.at_rest(tx, state, kept.size)
    highest = versions.highest_serial(tx.db, state)
    is_newer = highest is None or (kept.serial is not None and kept.serial > highest)
    serial = None if is_newer else _next_serial(tx.db, state)
    return kept, Rewriting(partial(rescued.content, kept, tx.keyring, tx.blobs), kept.size, serial)


def roll_back(
    tx: Transaction, state: State, version: StateVersion, written: Received
) -> StateVersion:
    """Store `written`, which is this version with a new serial, as the newest version.

    If this version is the newest already, return it. Raises Locked with the holder, Gone and
    Conflict.
    """
    newest = states.at_rest(tx, state, written.size)
    if newest is not None and version.number in {newest.number, newest.restored_from}:
        return newest
    _refuse_overtaken(tx.db, state, written)
    origin = Origin("restore", restored_from=version.number)
    return states.add(tx, state, written, origin, OBJECTIONS)


def promote_written(
    tx: Transaction, state: State, kept: RescuedWrite, written: Received, *, force: bool
) -> StateVersion:
    """Store `written`, which is this rescued write, as the newest version.

    Raises Locked with the holder, Gone, and Conflict, also for another lineage without `force`.
    """
    states.at_rest(tx, state, written.size)
    now = rescued.named(tx.db, state, kept.id)
    rescued.refuse_decided(now)
    _refuse_overtaken(tx.db, state, written)
    overruled = {*OBJECTIONS} if force else {*OBJECTIONS} - {"lineage-mismatch"}
    made = states.add(tx, state, written, Origin("promote"), overruled)
    rescued.decide(tx, state, now, "promoted", promoted_to=made.number)
    return made


def _next_serial(db: Session, state: State) -> int | None:
    highest = versions.highest_serial(db, state)
    if highest is None:
        return None
    if highest >= document.LARGEST_SERIAL:
        raise Conflict("The state has the highest possible serial.", code="serial-too-high")
    return highest + 1


def _refuse_overtaken(db: Session, state: State, written: Received) -> None:
    """Raise Conflict when somebody wrote without a lock since the serial was chosen."""
    highest = versions.highest_serial(db, state)
    serial = written.heading.serial
    if written.heading.encrypted or highest is None or serial is None or serial > highest:
        return
    raise Conflict(
        "Somebody wrote the state in the meantime: look at it, and try again.", code="overtaken"
    )
