"""Rescued writes: documents that were refused, and what to do with them."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue

from backend.runs import glances
from backend.states import rescued, restoring, states
from backend.web.api.rescued import RescuedList, detailed, shown
from backend.web.current import caller, reading, transaction
from backend.web.ui import forms
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page

bp = pages("rescued")
AT = "/projects/<project>/workspaces/<workspace>/rescued"

WHY = {
    "lineage-mismatch": "It belongs to another state: its lineage is another one.",
    "serial-reused": "Its serial is stored already with other content: somebody else wrote it.",
    "serial-too-low": "It was older than the newest state.",
    "lock-lost": "The lock it was written under was broken or had ended.",
    "lock-taken-over": "Somebody took its lock over.",
    "lock-required": "It came without a lock, while somebody else had the lock.",
    "lock-held-by-another": "Somebody else had the lock.",
    "state-locked": "Somebody else had the lock.",
    "fenced": "Its run had lost its claim: another worker may have gone on with the work.",
    "run-lost": "Its run had lost its claim: another worker may have gone on with the work.",
    "workspace-frozen": "The workspace was frozen.",
    "state-deleted": "The state was deleted.",
    "state-archived": "The state was moved to another backend.",
    "quota-state-size": "It was larger than the project allows.",
    "quota-versions": "The project allows no more versions.",
    "history-full": "The kept versions of this state were too large together.",
}


@bp.get(AT)
def show_all(project: str, workspace: str) -> ResponseReturnValue:
    asked = forms.asked(RescuedList)
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        states.check(tx.db, glance.state)
        found = rescued.find_all(tx, glance.state, asked.cursor, asked.limit)
        return page(
            "states/rescued.html", glance.project, glance=glance, why=WHY,
            writes=[shown(kept) for kept in found.items], cursor=found.next_cursor,
        )  # fmt: skip


@bp.get(f"{AT}/<rescued_id>")
def show(project: str, workspace: str, rescued_id: str) -> ResponseReturnValue:
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        states.check(tx.db, glance.state)
        found = rescued.get(tx, glance.state, rescued_id)
        return page(
            "states/rescued_write.html", glance.project, glance=glance, write=detailed(found),
            why=WHY,
        )  # fmt: skip


@bp.post(f"{AT}/<rescued_id>/promote")
def promote(project: str, workspace: str, rescued_id: str) -> ResponseReturnValue:
    force = request.form.getlist("force")[-1:] == ["true"]
    made = restoring.promote(caller(), project, workspace, rescued_id, force=force)
    say(f"Version {made.number} is the newest state: it is the rescued write.")
    return redirect(f"/projects/{project}/workspaces/{workspace}/versions/{made.number}", 303)


@bp.post(f"{AT}/<rescued_id>/dismiss")
def dismiss(project: str, workspace: str, rescued_id: str) -> ResponseReturnValue:
    with transaction() as tx:
        rescued.dismiss(tx, states.named(tx, project, workspace), rescued_id)
    say("The rescued write is dismissed, and its content is removed.")
    return redirect(f"/projects/{project}/workspaces/{workspace}/rescued", 303)
