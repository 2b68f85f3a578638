"""Known hosts of a project: the keys by which its runs know ssh servers."""

from __future__ import annotations

from flask import redirect
from flask.typing import ResponseReturnValue

from backend.catalogue import host_keys, projects
from backend.web.api.projects import ProjectChange
from backend.web.current import caller, installation, reading, transaction
from backend.web.ui import forms
from backend.web.ui.door import in_place, pages, say
from backend.web.ui.layout import page

bp = pages("hosts")
AT = "/projects/<project>/hosts"


@bp.get(AT)
def show_all(project: str) -> ResponseReturnValue:
    with reading() as tx:
        at = projects.get(tx, project)
        keys = list(host_keys.every(at.known_hosts))
        published = host_keys.every("\n".join(installation().published_host_keys))
        return page("hosts/hosts.html", at, keys=keys, published=list(published))


@bp.post(AT)
def add(project: str) -> ResponseReturnValue:
    with transaction() as tx:
        added = host_keys.add(tx, projects.named(tx, project), forms.text("lines"))
    number = len(added)
    say(f"{number} host {'key is' if number == 1 else 'keys are'} new here." if number else KNOWN)
    return redirect(f"/projects/{project}/hosts", 303)


@bp.post(f"{AT}/scan")
def scan(project: str) -> ResponseReturnValue:
    found = host_keys.scan(caller(), project, forms.text("host"))
    with reading() as tx:
        at = projects.get(tx, project)
        return in_place(page("hosts/scanned.html", at, found=found))


@bp.post(f"{AT}/remove")
def remove(project: str) -> ResponseReturnValue:
    with transaction() as tx:
        gone = host_keys.remove(tx, projects.named(tx, project), forms.text("line"))
    say(f"The key {gone.fingerprint} of {gone.hosts} is removed.")
    return redirect(f"/projects/{project}/hosts", 303)


@bp.post(f"{AT}/new-keys")
def accept_new(project: str) -> ResponseReturnValue:
    """Choose whether runs accept the key of a host that is not known yet."""
    body = forms.read(ProjectChange, forms.filled())
    with transaction() as tx:
        projects.update(tx, projects.named(tx, project), **body.given())
    say("Runs accept new hosts." if body.accept_new_host_keys else "Runs refuse unknown hosts.")
    return redirect(f"/projects/{project}/hosts", 303)


KNOWN = "The project knows these keys already."
