"""The audit log of the installation, and of a project, with the standing of its chain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from backend.audit import entries
from backend.audit.entries import Numbered
from backend.catalogue import projects
from backend.errors import Invalid
from backend.paging import Page
from backend.upkeep import reports
from backend.web.api.audit import AuditEntry, AuditQuery, shown
from backend.web.current import caller, reading
from backend.web.ui import forms
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page

bp = pages("audit")
OF_PROJECT = "/projects/<project>/audit"
# what the ids of things begin with, and where their pages are in the project
PLACES = {
    "run": "runs", "ws": "workspaces", "tpl": "templates", "key": "keys", "set": "variable-sets",
    "tok": "tokens", "usr": "members", "git": "git-credentials",
}  # fmt: skip
EVERYWHERE = {"usr": "/users", "tok": "/tokens"}
KINDS = (
    "alias", "git_credential", "key", "lock", "login", "member", "project", "run", "state",
    "template", "token", "user", "variable", "variable_set", "workspace",
)  # fmt: skip


@bp.get("/audit")
def show_all() -> ResponseReturnValue:
    asked = _asked()
    with reading() as tx:
        found = entries.find_all(tx, asked.filter(None), asked.cursor)
        standing = reports.audit_standing(tx)
        return page("audit/audit.html", standing=standing, at="/audit", **_shown(found, asked))


@bp.post("/audit/verify")
def verify() -> ResponseReturnValue:
    found = reports.verify_audit(caller())
    wrong = found.broken
    say(f"{found.verified:,} entries are right." if wrong is None else wrong.message)
    return redirect("/audit", 303)


@bp.get(OF_PROJECT)
def show_of_project(project: str) -> ResponseReturnValue:
    asked = _asked()
    with reading() as tx:
        at = projects.named(tx, project)
        found = entries.find_all(tx, asked.filter(at.id), asked.cursor)
        where = f"/projects/{at.name}/audit"
        return page("audit/audit.html", at, standing=None, at=where, **_shown(found, asked))


def _asked() -> AuditQuery:
    """What the address asks for. A day is taken as a whole, in UTC. Raises Invalid."""
    given = {name: text for name, text in request.args.items() if text}
    for name, more in (("since", 0), ("until", 1)):
        text = given.get(name, "")
        if len(text) == len("2026-01-31"):
            given[name] = f"{_day(name, text) + timedelta(days=more)}T00:00:00Z"
    return forms.read(AuditQuery, MultiDict(given))


def _day(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        wrong = [{"field": name, "message": f"{text} is not a day."}]
        raise Invalid(f"{text} is not a day.", code="invalid-request", errors=wrong) from None


def _shown(found: Page[Numbered], asked: AuditQuery) -> dict[str, Any]:
    period = {"since": asked.since, "until": asked.until}
    sent = {name: moment.isoformat() for name, moment in period.items() if moment is not None}
    return {
        "items": [(one, _link(one), list(_facts(one.detail))) for one in map(shown, found.items)],
        "cursor": found.next_cursor,
        "kinds": KINDS,
        "period": f"?{urlencode(sent)}" if sent else "",
    }


def _link(entry: AuditEntry) -> str | None:
    """The page of what the entry is about, if there is one."""
    prefix = entry.object.partition("_")[0]
    if entry.object.startswith("prj_"):
        return f"/projects/{entry.object}"
    if prefix not in PLACES or not entry.object.replace("_", "").isalnum():
        return None
    if entry.project_id is None:
        return f"{EVERYWHERE[prefix]}/{entry.object}" if prefix in EVERYWHERE else None
    where = f"/projects/{entry.project_id}/{PLACES[prefix]}"
    return where if prefix in {"usr", "git"} else f"{where}/{entry.object}"


def _facts(detail: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The facts of an entry as people read them."""
    for name, value in detail.items():
        if isinstance(value, bool):
            yield name, "yes" if value else "no"
        elif isinstance(value, list) and all(isinstance(one, str | int) for one in value):
            yield name, ", ".join(map(str, value))
        else:
            yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
