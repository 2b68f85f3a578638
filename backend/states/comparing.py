"""Comparing two versions of a state, without showing their secrets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session, undefer

from backend import audit
from backend.documents import diff, diff_process
from backend.documents.diff import Diff
from backend.errors import Invalid
from backend.models import State, StateVersion
from backend.offload import Room, off_loop
from backend.states import looking, rescued, states, versions
from backend.transactions import Caller, Transaction

Sizes = tuple[int, int]  # bytes

NOTHING = b'{"version": 4}'

SMALL = 256 * 1024  # bytes of two documents that are compared in a thread of the server
ROOM = Room(2, seconds=20.0, refusal="Too many states are being compared. Try again.")


@dataclass(frozen=True)
class Comparison:
    """`before` and `after` are version numbers. If `before` is None, everything was added."""

    before: int | None
    after: int
    diff: Diff


def compare(
    caller: Caller, project: str, workspace: str, before: str | None, after: str
) -> Comparison:
    """Compare two versions, given as a number or `latest`. Audited.

    The default of `before` is the closest earlier version that still has its body.
    Raises NotFound, Forbidden, Gone for a removed one, Invalid for one that is too large, Conflict
    for one that OpenTofu encrypted, Unreadable, and Unavailable when many are being compared.
    """
    with caller.transaction() as tx:
        older, newer = _read(tx, states.named(tx, project, workspace), before, after)
    before_size = len(NOTHING) if older is None else older.size
    contents = _content(caller, older), _content(caller, newer)
    found = _compared(caller, (before_size, newer.size), *contents)
    return Comparison(None if older is None else older.number, newer.number, found)


def compare_rescued(caller: Caller, project: str, workspace: str, rescued_id: str) -> Comparison:
    """Compare the newest version with a rescued write: what promoting it would change. Audited.

    `after` is 0, as the rescued write has no number. Raises what `compare` raises, and Conflict
    for a write that is decided.
    """
    with caller.transaction() as tx:
        state = states.named(tx, project, workspace)
        tx.require("state:read", state.project_id)
        kept, newest = rescued.beside(tx.db, state, rescued_id)
        rescued.refuse_decided(kept)
        for size in (kept.size, 0 if newest is None else newest.size):
            diff.check_size(size)
        number = None if newest is None else newest.number
        audit.record(
            tx, "state.diff", state.id, project_id=state.project_id,
            before=number, rescued=kept.id,
        )  # fmt: skip
    sizes = (len(NOTHING) if newest is None else newest.size), kept.size
    content = rescued.content(kept, caller.here.keyring, caller.here.blobs)
    return Comparison(number, 0, _compared(caller, sizes, _content(caller, newest), content))


def _compared(
    caller: Caller, sizes: Sizes, before: Iterator[bytes], after: Iterator[bytes]
) -> Diff:
    compared = _here if sum(sizes) <= SMALL else _apart
    return compared(caller, sizes, before, after)


def _here(_caller: Caller, _sizes: Sizes, before: Iterator[bytes], after: Iterator[bytes]) -> Diff:
    with ROOM.enter():
        return off_loop(diff.diff, b"".join(before), b"".join(after))


def _apart(caller: Caller, sizes: Sizes, before: Iterator[bytes], after: Iterator[bytes]) -> Diff:
    """Compare in a process of its own. Raises Invalid when it needs more than it may have."""
    first = sizes[0].to_bytes(diff_process.LENGTH, "big")
    answer = _PROCESS.answer(caller, sum(sizes), itertools.chain((first,), before, after))
    return off_loop(diff_process.found_in, answer)


def _too_much(memory: int) -> Invalid:
    return Invalid(
        f"Comparing these versions needs more than {memory:,} bytes of memory, or "
        f"{diff_process.CPU_SECONDS} seconds. Download both versions to compare them.",
        code="diff-too-large",
    )


_PROCESS = looking.Process(diff_process.__name__, diff_process.CPU_SECONDS, _too_much)


def _read(
    tx: Transaction, state: State, before: str | None, after: str
) -> tuple[StateVersion | None, StateVersion]:
    """Read both versions with their bodies, and write the audit entry."""
    tx.require("state:read", state.project_id)
    older, newer = _pair(tx.db, state, before, after)
    for version in (older, newer):
        if version is not None:
            states.refuse_removed(version)
            diff.check_size(version.size)
    audit.record(
        tx, "state.diff", state.id, project_id=state.project_id,
        before=None if older is None else older.number, number=newer.number,
    )  # fmt: skip
    return older, newer


def _pair(
    db: Session, state: State, before: str | None, after: str
) -> tuple[StateVersion | None, StateVersion]:
    """Both versions with their bodies, in one statement if they are there."""
    newer = versions.number_of(state, after)
    if before is None:
        kept = StateVersion.removed_at.is_(None)
        wanted = and_(StateVersion.number <= newer, or_(StateVersion.number == newer, kept))
        older = None
    else:
        older = versions.number_of(state, before)
        wanted = StateVersion.number.in_((older, newer))
    asked = select(StateVersion).where(StateVersion.state_id == state.id, wanted)
    newest_first = asked.order_by(StateVersion.number.desc()).limit(2)
    found = {
        one.number: one for one in db.scalars(newest_first.options(undefer(StateVersion.sealed)))
    }
    last = found.get(newer) or states.version(db, state, newer)
    if older is not None:
        return found.get(older) or states.version(db, state, older), last
    return next((one for number, one in found.items() if number < newer), None), last


def _content(caller: Caller, version: StateVersion | None) -> Iterator[bytes]:
    if version is None:
        return iter((NOTHING,))
    return states.content(version, caller.here.keyring, caller.here.blobs)
