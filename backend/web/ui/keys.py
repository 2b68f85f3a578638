"""The key store of a project: what opens its repositories, and what uses that."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue

from backend.catalogue import keys, projects
from backend.web.api.keys import KeyChange, NewKey, read_new, shown
from backend.web.current import caller, reading, transaction
from backend.web.ui import forms
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page

bp = pages("keys")
AT = "/projects/<project>/keys"


@bp.get(AT)
def show_all(project: str) -> ResponseReturnValue:
    with reading() as tx:
        at = projects.named(tx, project)
        found = keys.find_all(tx, at, request.args.get("cursor"))
        uses = keys.find_uses(tx, at, found.items)
        items = [shown(key) for key in found.items]
        return page("keys/keys.html", at, items=items, cursor=found.next_cursor, uses=uses)


@bp.post(AT)
def create(project: str) -> ResponseReturnValue:
    kind, name, secret = read_new(forms.read(NewKey, forms.filled()))
    with transaction() as tx:
        key = keys.create(tx, projects.named(tx, project), kind=kind, secret=secret, name=name)
    say(f"The key {key.name} is stored.")
    return redirect(f"/projects/{project}/keys/{key.name}", 303)


@bp.get(f"{AT}/<key>")
def show(project: str, key: str) -> ResponseReturnValue:
    with reading() as tx:
        at = projects.named(tx, project)
        found = keys.get(tx, at, key)
        uses = keys.find_uses(tx, at, [found])
        return page("keys/key.html", at, key=shown(found), uses=uses.get(found.id, {}))


@bp.post(f"{AT}/<key>")
def update(project: str, key: str) -> ResponseReturnValue:
    """Rename a key, or replace its secret with another one of the same kind."""
    given = forms.read(KeyChange, forms.filled()).given()
    name = given.pop("name", None)
    found = keys.update(caller(), project, key, given, name)  # type: ignore[arg-type]  # as in the API
    say("The key has its new secret." if given else f"The key is called {found.name} now.")
    return redirect(f"/projects/{project}/keys/{found.name}", 303)


@bp.post(f"{AT}/<key>/delete")
def delete(project: str, key: str) -> ResponseReturnValue:
    with transaction() as tx:
        keys.delete(tx, projects.named(tx, project), key)
    say(f"The key {key} is deleted.")
    return redirect(f"/projects/{project}/keys", 303)
