"""Who has the lock of a state: holding it by hand, ending that, and breaking it."""

from __future__ import annotations

from flask import redirect
from flask.typing import ResponseReturnValue

from backend.runs import glances
from backend.states import holds, states
from backend.states import locks as locking
from backend.web.api import locks
from backend.web.current import reading, transaction
from backend.web.ui import forms
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page
from backend.web.ui.workspaces import WORKSPACE

bp = pages("locks")
LOCK = f"{WORKSPACE}/lock"


@bp.get(LOCK)
def show(project: str, workspace: str) -> ResponseReturnValue:
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        return page(
            "workspaces/lock.html", glance.project, glance=glance, lock=locks.shown(glance.lock),
            is_mine=locking.is_own_hold(glance.lock, tx.principal),
        )  # fmt: skip


@bp.post(LOCK)
def hold(project: str, workspace: str) -> ResponseReturnValue:
    body = forms.read(locks.Hold)
    with transaction() as tx:
        holds.hold(tx, states.named(tx, project, workspace), body.reason, body.until())
    say("You hold the lock. Nobody else plans or applies until its end.")
    return redirect(f"/projects/{project}/workspaces/{workspace}/lock", 303)


@bp.post(f"{LOCK}/end")
def end(project: str, workspace: str) -> ResponseReturnValue:
    """End the lock that the page showed: one's own hold, or with a reason that of anybody."""
    with transaction() as tx:
        state = states.named(tx, project, workspace)
        lock = holds.end(tx, state, forms.text("reason"), forms.text("lock_id"))
        say(f"The lock of {lock.held_by} has ended.")
    return redirect(f"/projects/{project}/workspaces/{workspace}/lock", 303)
