"""The preview beside the form of a template: what a run would find and inject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, make_response, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from backend.catalogue import host_keys, keys, projects
from backend.errors import Invalid
from backend.runs import previewing
from backend.web.api.previews import PreviewAnswer, Wanted, shown
from backend.web.current import caller, reading, transaction
from backend.web.ui import forms
from backend.web.ui.door import pages
from backend.web.ui.layout import page

bp = pages("previews")
AT = "/projects/<project>/templates/preview"


@bp.post(AT)
def preview(project: str) -> ResponseReturnValue:
    """The part of a page; without a script a page of its own."""
    found = look(project)
    name = "templates/found.html" if "HX-Request" in request.headers else "templates/preview.html"
    with reading() as tx:
        return page(name, projects.named(tx, project), found=found)


@bp.post(f"{AT}/host")
def offer_host(project: str) -> ResponseReturnValue:
    """The keys that a host shows, to be compared and added."""
    scan = host_keys.scan(caller(), project, forms.text("host"))
    with reading() as tx:
        return page("templates/host.html", projects.named(tx, project), scan=scan)


@bp.post(f"{AT}/host/add")
def add_host(project: str) -> ResponseReturnValue:
    """Add them, and have the page look at the repository again."""
    with transaction() as tx:
        host_keys.add(tx, projects.named(tx, project), forms.text("lines"))
    return _looking_again("The project knows this host now.")


def look(project: str) -> PreviewAnswer | None:
    """What the form of this request leads to; None while it names no repository."""
    if not forms.text("repository").strip():
        with reading() as tx:
            tx.require("templates:manage", projects.named(tx, project).id)
        return None
    if not forms.text("pressed") and _sends_a_password(project):
        raise Invalid(
            "The key has a password, which goes to the host of the repository: press Look when "
            "you have written it to its end.",
            code="password-goes-to-host",
        )
    names = Wanted.model_fields.keys() - {"workspace"}
    given = MultiDict(item for item in request.form.items(multi=True) if item[0] in names)
    body = forms.read(Wanted, given)
    workspace = forms.text("workspace.name") or forms.text("name") or None
    return shown(previewing.preview(caller(), project, workspace, **body.fields()))


def look_with(project: str, given: Mapping[str, Any]) -> PreviewAnswer:
    """What these fields of a template lead to, whose password may be sent."""
    names = Wanted.model_fields.keys() & given.keys()
    body = Wanted.model_validate({name: given[name] for name in names})
    return shown(previewing.preview(caller(), project, None, **body.fields()))


def _sends_a_password(project: str) -> bool:
    """Whether looking sends a password to a host, whose name may be half written."""
    chosen = forms.text("key")
    if not chosen:
        return False
    with reading() as tx:
        at = projects.named(tx, project)
        return keys.get(tx, at, chosen).kind == "password"


def _looking_again(said: str) -> Response:
    response = make_response(said)
    response.headers["HX-Trigger"] = "look"
    return response
