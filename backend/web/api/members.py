from __future__ import annotations

from datetime import datetime
from typing import Literal

from flask import Response
from pydantic import Field
from sqlalchemy.orm import Session

from backend.catalogue import projects
from backend.models import Member as MemberRow
from backend.models import Project
from backend.people import members, users
from backend.web.api.answers import (
    WITH_BODY,
    Answer,
    Body,
    Cursor,
    Page,
    ProjectPath,
    answer,
    blueprint,
)
from backend.web.current import principal, reading, transaction

bp = blueprint("members", "What each user is in a project")

Role = Literal["guest", "task_runner", "manager", "owner"]


class MemberPath(ProjectPath):
    user: str = Field(max_length=64, description="The user's name or id")


class Membership(Body):
    role: Role = Field(
        description="guest: look; task_runner: queue and cancel runs; manager: approve them, "
        "states, keys and templates; owner: everything in the project"
    )


class Member(Answer):
    user_id: str
    name: str
    role: Role
    created_at: datetime


class Members(Page[Member]):
    pass


@bp.get("/projects/<project>/members", responses={200: Members})
def list_members(path: ProjectPath, query: Cursor) -> Response:
    """The members of a project, with their roles."""
    with reading() as db:
        project = projects.get(db, principal(), path.project, "runs:read")
        found = members.find_all(db, project, query.cursor, query.limit)
    items = [_shown(member) for member in found.items]
    return answer(Members(items=items, next_cursor=found.next_cursor))


@bp.put("/projects/<project>/members/<user>", responses={200: Member, **WITH_BODY})
def put_member(path: MemberPath, body: Membership) -> Response:
    """Make a user a member of the project, or give him another role."""
    with transaction() as db:
        project = projects.get(db, principal(), path.project, "admin")
        user = users.chosen(db, path.user)
        found = _shown(members.put(db, principal(), project, user, body.role))
    return answer(found)


@bp.delete("/projects/<project>/members/<user>", responses={204: None})
def remove_member(path: MemberPath) -> Response:
    """Take a user out of the project; everybody may leave. It does not exist for him then.

    The token needs the scope admin, as that of a login has it.
    """
    with transaction() as db:
        project = projects.get(db, principal(), path.project, "runs:read")
        member = _to_be_removed(db, project, path.user)
        members.remove(db, principal(), member)
    return Response(status=204)


def _to_be_removed(db: Session, project: Project, reference: str) -> MemberRow:
    found = members.get(db, project, reference)
    principal().require_held("admin")  # a narrow token does not end what its owner is
    if found.user_id != principal().user_id:
        principal().require("admin", project.id)
    return found


def _shown(member: MemberRow) -> Member:
    return Member(
        user_id=member.user_id,
        name=member.user.name,
        role=member.role,
        created_at=member.created_at,
    )
