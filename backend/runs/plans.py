"""Plans that wait to be applied: what planning left, sealed, and what it holds for.

A plan is applied only while everything that it was made from is still as it was. Else it is stale,
and its run has to plan again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.errors import NotFound, Unreadable
from backend.models import Plan, PlanPiece, Run
from backend.principal import REPORT
from backend.runs import claims, inputs
from backend.runs.inputs import Inputs
from backend.sealing import bindings
from backend.sealing.crypto import open_value, seal_value
from backend.states import addresses, states
from backend.transactions import Transaction

PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Bundle:
    """What planning left, as it was packed: its hash, and in how many pieces it is stored."""

    sha256: str
    pieces: int


@dataclass(frozen=True)
class Made:
    """What a plan was made from, and by what. Without `state_version` the state is elsewhere."""

    inputs: Inputs
    address: str
    state_version: int | None
    commit: str
    tool: str
    tool_version: str
    lock_sha256: str | None


def keep_piece(tx: Transaction, number: int, piece: bytes) -> None:
    """Seal one piece of the bundle of the calling run. Raises Moved when it lost its claim."""
    run = claims.own(tx)
    sealed = seal_value(tx.keyring, piece, bindings.plan(run.id, run.epoch, number))
    here = (run.id, run.epoch, number)
    if tx.db.get(PlanPiece, here) is None:  # else the answer to an earlier commit was lost
        tx.db.add(PlanPiece(run_id=run.id, epoch=run.epoch, number=number, sealed=sealed))


def keep(tx: Transaction, bundle: Bundle, made: Made) -> None:
    """Record the plan of the calling run, whose pieces are stored. Raises Moved."""
    run = claims.own(tx)
    if tx.db.get(Plan, run.id) is not None:  # as above
        return
    tx.db.add(
        Plan(
            run_id=run.id,
            workspace_id=run.workspace_id,
            epoch=run.epoch,
            commit=made.commit,
            tool=made.tool,
            tool_version=made.tool_version,
            address=made.address,
            state_version=made.state_version,
            template=made.inputs.template,
            variables=made.inputs.variables,
            credentials=made.inputs.credentials,
            lock_sha256=made.lock_sha256,
            bundle_sha256=bundle.sha256,
            pieces=bundle.pieces,
        )
    )
    tx.db.flush()


def approved(tx: Transaction, run: Run) -> Plan | None:
    """The plan that a claimed run is to apply; None when it has still to plan.

    Raises Unreadable `plan-unreadable` when it is not as Stateroom wrote it. For Stateroom itself.
    """
    tx.principal.require_installation()
    if run.approved_at is None:
        return None
    plan = tx.db.get(Plan, run.id)
    if plan is None or plan.approved_by != run.approved_by:
        raise _unreadable("Nobody approved it, as far as can be proved.")
    tx.keyring.proofs.check(plan)
    return plan


def pieces(tx: Transaction) -> Iterator[bytes]:
    """The bundle of the approved plan of the calling run, in order.

    Raises Moved, and Unreadable when a piece is missing, or of another plan.
    """
    tx.require(REPORT, tx.principal.project_id)
    run = claims.own(tx)
    plan = tx.db.get(Plan, run.id)
    if plan is None:
        raise _unreadable("There is none.")
    for number in range(plan.pieces):
        row = tx.db.get(PlanPiece, (run.id, plan.epoch, number))
        if row is None:
            raise _unreadable("A part of it is missing.")
        yield open_value(tx.keyring, row.sealed, bindings.plan(run.id, plan.epoch, number))
        tx.db.expunge(row)


def staleness(tx: Transaction, run: Run) -> str | None:
    """Why the plan of a run can no longer be applied, in words; None while everything holds.

    For Stateroom itself, and for whoever may decide about the run. Raises Unreadable when a
    variable does not open, or the plan is not as Stateroom wrote it.
    """
    tx.require_any(("runs:approve", "admin"), run.project_id)
    plan = tx.db.get(Plan, run.id)
    if plan is None:
        return "what its planning left is no longer there"
    tx.keyring.proofs.check(plan)
    changed = inputs.of(tx, run).changed_since(_inputs(plan))
    if plan.state_version is not None:
        current = states.of_workspace(tx.db, run.workspace).current
        if current != plan.state_version:
            changed.insert(0, f"the state (it was at version {plan.state_version}, and is at "
                              f"{current} now)")  # fmt: skip
        at = addresses.of_workspace(tx.settings.url, run.workspace.project.name, run.workspace.name)
        if at.address != plan.address:
            changed.append("the address of the state")
    return f"changed since: {', '.join(changed)}" if changed else None


def bundle_size(db: Session, run: Run) -> int:
    """How many bytes the sealed pieces of a plan take."""
    size = select(func.sum(func.length(PlanPiece.sealed))).where(PlanPiece.run_id == run.id)
    return db.scalar(size) or 0


def of_run(db: Session, run: Run) -> Plan:
    """What the plan of a run was made from. Raises NotFound."""
    plan = db.get(Plan, run.id)
    if plan is None:
        raise NotFound(f"The run {run.id} has no plan.", code="no-plan")
    return plan


def _inputs(plan: Plan) -> Inputs:
    return Inputs(plan.template, plan.variables, plan.credentials)


def _unreadable(why: str) -> Unreadable:
    return Unreadable(
        f"What the plan left cannot be used. {why} Queue the run again.", code="plan-unreadable"
    )
