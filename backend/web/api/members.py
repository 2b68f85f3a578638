from __future__ import annotations

from datetime import datetime
from typing import Literal

from flask import Response
from pydantic import Field

from backend.catalogue import projects
from backend.models import Member as MemberRow
from backend.people import members
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
from backend.web.current import reading, transaction

bp = blueprint("members", "The users of a project, and their roles")

Role = Literal["guest", "task_runner", "manager", "owner"]


class MemberPath(ProjectPath):
    user: str = Field(max_length=64, description="The user's name or id")


class Membership(Body):
    role: Role = Field(
        description="guest: read; task_runner: also queue plans and cancel runs; manager: also "
        "queue applies, approve runs and manage states, keys and templates; owner: everything in "
        "the project"
    )


class Member(Answer):
    user_id: str
    name: str
    role: Role
    by_group: bool = Field(
        description="A group of the OpenID provider gave it: each sign-in sets it to what the "
        "groups say"
    )
    created_at: datetime


class Members(Page[Member]):
    pass


@bp.get("/projects/<project>/members", responses={200: Members})
def list_members(path: ProjectPath, query: Cursor) -> Response:
    """The members of a project, with their roles."""
    with reading() as tx:
        found = members.find_all(tx, projects.named(tx, path.project), query.cursor, query.limit)
    items = [shown(member) for member in found.items]
    return answer(Members(items=items, next_cursor=found.next_cursor))


@bp.put("/projects/<project>/members/<user>", responses={200: Member, **WITH_BODY})
def put_member(path: MemberPath, body: Membership) -> Response:
    """Make a user a member of the project, or change the role."""
    with transaction() as tx:
        project = projects.named(tx, path.project)
        found = shown(members.put(tx, project, path.user, body.role))
    return answer(found)


@bp.delete("/projects/<project>/members/<user>", responses={204: None})
def remove_member(path: MemberPath) -> Response:
    """Remove a user from the project. Everybody may leave a project.

    It needs a token with the scope admin, such as that of a login.
    """
    with transaction() as tx:
        members.remove(tx, projects.named(tx, path.project), path.user)
    return Response(status=204)


def shown(member: MemberRow) -> Member:
    return Member(
        user_id=member.user_id,
        name=member.user.name,
        role=member.role,
        by_group=member.by_group,
        created_at=member.created_at,
    )
