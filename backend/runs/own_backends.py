"""Which backend outside of Stateroom a workspace uses, as its runs have found it out.

Two workspaces with one such backend would change the same state, and each would undo what the other
one makes. The second is refused, unless a person says that they share it: then their runs take
turns, by a unique index over the identities of the runs at work.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.errors import Conflict
from backend.models import HARMLESS, Run, Workspace
from backend.runs import claims
from backend.transactions import Transaction


def use(tx: Transaction, identity: str | None) -> None:
    """Record the backend that the run which asks has found in its sources; None: it uses ours.

    Raises Moved, and Conflict: `backend-shared` with the workspace that was first, `backend-busy`
    while a run of a workspace that shares the backend is at work.
    """
    run = claims.own(tx)
    workspace, db = run.workspace, tx.db
    if identity is not None:
        _refuse_another(db, workspace, identity)
    try:
        with db.begin_nested():
            run.own_backend = identity
    except IntegrityError:  # another run has it, maybe of a workspace that was not known before
        db.refresh(run)
        _refuse_another(db, workspace, str(identity))
        raise _busy(db, str(identity)) from None
    # one that changes nothing may be of another branch, and decides nothing
    if None in (identity, workspace.own_backend) or run.operation not in HARMLESS:
        workspace.own_backend = identity
    db.flush()


def _refuse_another(db: Session, workspace: Workspace, identity: str) -> None:
    if workspace.shares_backend:
        return
    first = db.scalars(
        select(Workspace)
        .where(
            Workspace.own_backend == identity,
            Workspace.id != workspace.id,
            Workspace.shares_backend.is_(False),
        )
        .order_by(Workspace.id)
        .limit(1)
    ).one_or_none()
    if first is None:
        return
    same = first.project_id == workspace.project_id
    who = f"the workspace {first.name}" if same else "a workspace of another project"
    raise Conflict(
        f"The sources keep their state in {identity}, and so does {who}: each would undo what the "
        "other one makes. Give this workspace another place (a variable of kind backend_config, or "
        "another block), delete the one that is not needed, or say that they share it on purpose, "
        f"after which their runs take turns: `stateroom workspaces set {workspace.name} "
        f'--shares-backend`, or PATCH .../workspaces/{workspace.name} with {{"shares_backend": '
        "true}. Nothing was planned.",
        code="backend-shared",
    )


def _busy(db: Session, identity: str) -> Conflict:
    other = db.scalars(select(Run).where(Run.own_backend == identity, Run.blocking)).first()
    who = "Another run" if other is None else f"The run {other.id}"
    return Conflict(
        f"{who} is at work with the same backend ({identity}), which its workspace shares with "
        "this one. Queue this run again: it will wait for its turn.",
        code="backend-busy",
    )
