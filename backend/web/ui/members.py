"""Members of a project, and what their roles allow."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue

from backend.catalogue import projects
from backend.people import members
from backend.web.api.members import Membership, shown
from backend.web.current import principal, reading, transaction
from backend.web.ui import forms, powers
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page

bp = pages("members")
AT = "/projects/<project>/members"


@bp.get(AT)
def show_all(project: str) -> ResponseReturnValue:
    with reading() as tx:
        at = projects.named(tx, project)
        found = members.find_all(tx, at, request.args.get("cursor"))
        items = [shown(member) for member in found.items]
        cursor, roles = found.next_cursor, powers.ROLE_WORDS
        matrix = powers.of_roles()
        return page(
            "members/members.html", at, items=items, cursor=cursor, roles=roles, may_do=matrix
        )


@bp.post(AT)
def put(project: str) -> ResponseReturnValue:
    """Make somebody a member, or change the role."""
    user, body = forms.text("user").strip(), forms.read(Membership)
    with transaction() as tx:
        found = members.put(tx, projects.named(tx, project), user, body.role)
        say(f"{found.user.name} is {body.role.replace('_', ' ')} of {project}.")
    return redirect(f"/projects/{project}/members", 303)


@bp.post(f"{AT}/<user>/remove")
def remove(project: str, user: str) -> ResponseReturnValue:
    with transaction() as tx:
        members.remove(tx, projects.named(tx, project), user)
    if user == principal().name and principal().roles is not None:
        say(f"You are no longer a member of {project}.")
        return redirect("/projects", 303)
    say(f"{user} is no longer a member.")
    return redirect(f"/projects/{project}/members", 303)
