"""A document of before becomes the newest version: rolled back to, or promoted from the rescued.

Terraform and tofu refuse nothing older than what they last saw, but our guard does: the serial is
lifted above every one that there was, and all other bytes stay. What OpenTofu encrypted says its
serial inside too, sealed, and tofu refuses a document whose two serials differ: it keeps its bytes
and its own serial, and is recorded as forced. The next apply then writes that serial + 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy.orm import Session

from backend.documents import heading as document
from backend.documents import intake
from backend.documents.intake import Received
from backend.documents.serial import SerialSpan, find_serial, with_serial
from backend.errors import Conflict
from backend.models import RescuedWrite, State, StateVersion
from backend.principal import Principal
from backend.sealing.blobs import Blobs
from backend.sealing.keyring import Keyring
from backend.states import rescued, states, versions
from backend.states.states import Origin

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


def of_version(
    db: Session, state: State, which: str, keyring: Keyring, blobs: Blobs
) -> tuple[StateVersion, Rewriting]:
    """The version to roll back to. Raises NotFound, Gone, Locked and Conflict."""
    version = versions.get(db, state, which)
    states.refuse_removed(version)
    states.at_rest(db, state, version.size)
    serial = _next_serial(db, state)
    return version, Rewriting(lambda: states.content(version, keyring, blobs), version.size, serial)


def of_rescued(
    db: Session, state: State, rescued_id: str, keyring: Keyring, blobs: Blobs
) -> tuple[RescuedWrite, Rewriting]:
    """The rescued write to promote. Raises NotFound, Gone, Locked and Conflict."""
    kept = rescued.get(db, state, rescued_id)
    rescued.refuse_decided(kept)
    states.at_rest(db, state, kept.size)
    highest = versions.highest_serial(db, state)
    is_newer = highest is None or (kept.serial is not None and kept.serial > highest)
    serial = None if is_newer else _next_serial(db, state)
    return kept, Rewriting(lambda: rescued.content(kept, keyring, blobs), kept.size, serial)


def roll_back(  # noqa: PLR0913 to what, as what
    db: Session,
    principal: Principal,
    state: State,
    version: StateVersion,
    written: Received,
    keyring: Keyring,
) -> StateVersion:
    """Make `written`, which is this version with a new serial, the newest version.

    What is current already stays so. Raises Locked with the holder, Gone and Conflict.
    """
    newest = states.at_rest(db, state, written.size)
    if newest is not None and version.number in {newest.number, newest.restored_from}:
        return newest
    _refuse_overtaken(db, state, written)
    forced = states.objection(newest, written) is not None
    origin = Origin("restore", forced=forced, restored_from=version.number)
    made = states.append(db, principal, state, written, keyring, origin, "state.restore")
    return states.version(db, state, made)


def promote(  # noqa: PLR0913 what, as what, and over which objection
    db: Session,
    principal: Principal,
    state: State,
    kept: RescuedWrite,
    written: Received,
    keyring: Keyring,
    *,
    force: bool,
) -> StateVersion:
    """Make `written`, which is this rescued write, the newest version.

    Raises Locked with the holder, Gone, and Conflict: also for another lineage without `force`.
    """
    newest = states.at_rest(db, state, written.size)
    now = rescued.get(db, state, kept.id)
    rescued.refuse_decided(now)
    _refuse_overtaken(db, state, written)
    objection = states.objection(newest, written)
    if objection is not None and objection.code == "lineage-mismatch" and not force:
        raise objection
    origin = Origin("promote", forced=objection is not None)
    made = states.append(db, principal, state, written, keyring, origin, "state.promote")
    rescued.decide(db, principal, now, "promoted", promoted_to=made)
    return states.version(db, state, made)


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
