"""Aliases of a state: their list, a new one with its password, snippets, and revoking."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue

from backend.catalogue import keys
from backend.paging import MAX_LIMIT
from backend.runs import glances
from backend.runs.glances import Glance
from backend.states import aliases as kept
from backend.transactions import Transaction
from backend.web.api import aliases
from backend.web.current import reading, transaction
from backend.web.ui import forms
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page
from backend.web.ui.workspaces import WORKSPACE

bp = pages("aliases")
ALIASES = f"{WORKSPACE}/aliases"


@bp.get(ALIASES)
def show_all(project: str, workspace: str) -> ResponseReturnValue:
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        found = kept.find_all(tx, glance.state, request.args.get("cursor"))
        return page(
            "workspaces/aliases.html", glance.project, glance=glance,
            aliases=[aliases.shown(one) for one in found.items], cursor=found.next_cursor,
            logins=_logins(tx, glance),
        )  # fmt: skip


@bp.post(ALIASES)
def create(project: str, workspace: str) -> ResponseReturnValue:
    """Make an alias, and show its password on this page alone."""
    body = forms.read(aliases.NewAlias)
    new = kept.NewAlias(body.name, body.access, body.key, body.expiry())
    with transaction() as tx:
        glance = glances.get(tx, project, workspace)
        alias, password = kept.create(tx, glance.state, new)
        return _page(glance, aliases.detail(alias, password), password, is_new=True)


@bp.get(f"{ALIASES}/<alias>")
def show(project: str, workspace: str, alias: str) -> ResponseReturnValue:
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        found = aliases.detail(kept.get(tx, glance.state, alias), None)
        return _page(glance, found, None, is_new=False)


@bp.post(f"{ALIASES}/<alias>/revoke")
def revoke(project: str, workspace: str, alias: str) -> ResponseReturnValue:
    with transaction() as tx:
        glance = glances.get(tx, project, workspace)
        kept.revoke(tx, glance.state, alias)
    say("The alias is revoked: its address refuses everybody.")
    return redirect(f"/projects/{project}/workspaces/{workspace}/aliases", 303)


def _page(glance: Glance, alias: aliases.AliasDetail, password: str | None, *, is_new: bool) -> str:
    return page(
        "workspaces/alias.html", glance.project, glance=glance, alias=alias, password=password,
        is_new=is_new,
    )  # fmt: skip


def _logins(tx: Transaction, glance: Glance) -> list[str]:
    """The names of the stored keys whose login an alias may have, for those who manage keys."""
    project = glance.project
    if not tx.principal.may("keys:manage", project.id):
        return []
    found = keys.find_all(tx, project, limit=MAX_LIMIT).items
    return [one.name for one in found if one.kind == "password"]
