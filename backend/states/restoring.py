"""Restore an older version, or promote a rescued write, as a new version.

terraform and tofu accept any serial from the server, but our guard refuses one that is not above
the newest: the document gets a serial above every one that there was, and all other bytes stay.
What OpenTofu encrypted has its serial sealed inside too, and tofu refuses a document whose two
serials differ: it keeps its bytes and its own serial, and is recorded as forced. The next apply
then writes that serial + 1.
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
    """A document to be read, and the serial that it gets; None: its bytes stay as they are."""

    read: Callable[[], Iterator[bytes]]
    size: int
    serial: int | None

    def carry_out(self, blobs: Blobs) -> Received:
        """Takes a second or two for the largest one: for when no transaction is open.

        Raises Unreadable, and Conflict when its serial cannot be changed.
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
        "The document says no serial, or not plainly: download it, give it a serial above the "
        "newest one, and upload it.",
        code="serial-not-found",
    )


def restore(caller: Caller, project: str, workspace: str, which: str) -> StateVersion:
    """Make a version the newest one again: the new version, or the newest one if it is that.

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
    """Make a rescued write the newest version; one of another lineage only with `force`.

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
    """Make `written`, which is this version with a new serial, the newest version.

    What is the newest already stays so. Raises Locked with the holder, Gone and Conflict.
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
    """Make `written`, which is this rescued write, the newest version.

    Raises Locked with the holder, Gone, and Conflict: also for another lineage without `force`.
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
        raise Conflict("There is no higher serial than that of this state.", code="serial-too-high")
    return highest + 1


def _refuse_overtaken(db: Session, state: State, written: Received) -> None:
    """Somebody wrote without a lock since the serial was chosen: it is theirs now."""
    highest = versions.highest_serial(db, state)
    serial = written.heading.serial
    if written.heading.encrypted or highest is None or serial is None or serial > highest:
        return
    raise Conflict("The state was written meanwhile: look at it, and try again.", code="overtaken")
