"""Members: the people of a project and their roles."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from backend import audit, names
from backend.errors import NotFound
from backend.models import Member, Project, User
from backend.paging import DEFAULT_LIMIT, Page, page
from backend.people import users
from backend.transactions import Transaction


def find_all(
    tx: Transaction, project: Project, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Member]:
    """The members of a project, for everybody who may see its runs."""
    tx.require("runs:read", project.id)
    query = select(Member).where(Member.project_id == project.id).options(joinedload(Member.user))
    return page(tx.db, query, Member.user_id, after, limit)


def named(db: Session, project: Project, reference: str) -> Member:
    """The membership of the person with this name or id. Raises NotFound."""
    found = db.scalars(
        select(Member)
        .join(User, User.id == Member.user_id)
        .where(Member.project_id == project.id, names.called(User, reference))
        .options(joinedload(Member.user))
    ).one_or_none()
    if found is None:
        raise NotFound(f"{reference!r} is not a member of the project {project.name!r}.")
    return found


def put(tx: Transaction, project: Project, reference: str, role: str) -> Member:
    """Make a person a member, or change the role. Repeating it is harmless.

    What a group of the OpenID provider gave is given by hand then, and stays without the group.

    For administrators of the project. Raises Forbidden, NotFound.
    """
    tx.require("admin", project.id)
    user, db = users.named(tx.db, reference), tx.db
    db.refresh(user, with_for_update=True)  # one at a time: two could make the same member
    member = db.get(Member, (project.id, user.id))
    if member is not None:
        tx.keyring.proofs.check(member)
    before = None if member is None else member.role
    was_by_group = member is not None and member.by_group
    if member is None:
        member = Member(project_id=project.id, user_id=user.id, user=user)
        db.add(member)
    member.role, member.by_group = role, False
    db.flush()
    if before != role or was_by_group:
        audit.record(
            tx, "member.put", user.id, project_id=project.id,
            name=user.name, role=role, before=before,
        )  # fmt: skip
    return member


def remove(tx: Transaction, project: Project, reference: str) -> None:
    """Remove a person from a project. It takes effect with the next request.

    For administrators of the project. Everybody may leave a project too, but not with a token that
    is restricted to one. Raises Forbidden, NotFound.
    """
    tx.require("runs:read", project.id)
    member = named(tx.db, project, reference)
    tx.principal.require_held("admin")
    if member.user_id != tx.principal.user_id:
        tx.require("admin", project.id)
    tx.db.delete(member)
    audit.record(
        tx, "member.remove", member.user_id, project_id=member.project_id,
        name=member.user.name, role=member.role,
    )  # fmt: skip


def roles_of(db: Session, user_id: str) -> dict[str, str]:
    """The roles of a person by the name of the project. For that person."""
    found = db.execute(
        select(Project.name, Member.role)
        .join(Project, Project.id == Member.project_id)
        .where(Member.user_id == user_id)
        .order_by(Project.name)
    )
    return dict(found.all())
