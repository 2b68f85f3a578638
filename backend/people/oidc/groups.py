"""What groups of the provider give: roles in projects, and the installation."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from backend import audit
from backend.models import Member, Project, User
from backend.people import administrators
from backend.principal import ROLES
from backend.setting_values import GroupRole
from backend.transactions import Transaction

_LEAST_FIRST = list(ROLES)


def give(tx: Transaction, user: User, groups: frozenset[str]) -> None:
    """Set what groups gave a person to what they give now. What was given by hand stays.

    Raises Conflict when nobody would be left who can administer the installation.
    """
    given = [one for one in tx.settings.group_roles if one.group in groups]
    _set_roles(tx, user, _highest(given))
    _set_admin(tx, user, wanted=any(one.project is None for one in given))


def _highest(given: Iterable[GroupRole]) -> dict[str, str]:
    """The highest role in each project, by its name."""
    roles: dict[str, str] = {}
    for one in sorted(given, key=lambda one: _rank(one.role)):
        if one.project is not None:
            roles[one.project] = one.role
    return roles


def _rank(role: str) -> int:
    return _LEAST_FIRST.index(role) if role in ROLES else -1


def _set_roles(tx: Transaction, user: User, roles: dict[str, str]) -> None:
    db = tx.db
    wanted = {
        project.id: roles[project.name]
        for project in db.scalars(select(Project).where(Project.name.in_(roles)))
    }
    have = {
        member.project_id: member
        for member in db.scalars(select(Member).where(Member.user_id == user.id))
    }
    for member in have.values():
        tx.keyring.proofs.check(member)
        if member.by_group and member.project_id not in wanted:
            db.delete(member)
            _record(tx, "member.remove", user, member.project_id, role=member.role)
    for project_id, role in wanted.items():
        _set_role(tx, user, have.get(project_id), project_id, role)


def _set_role(
    tx: Transaction, user: User, member: Member | None, project_id: str, role: str
) -> None:
    before = None if member is None else member.role
    if member is None:
        member = Member(project_id=project_id, user_id=user.id, user=user, by_group=True, role=role)
        tx.db.add(member)
    elif not member.by_group or member.role == role:
        return
    member.role = role
    _record(tx, "member.put", user, project_id, role=role, before=before)


def _record(tx: Transaction, action: str, user: User, project_id: str, **detail: object) -> None:
    audit.record(
        tx, action, user.id, project_id=project_id, name=user.name, by_group=True, **detail
    )


def _set_admin(tx: Transaction, user: User, *, wanted: bool) -> None:
    if user.is_admin == wanted or (user.is_admin and not user.admin_by_group):
        return
    administrators.lock(tx.db)
    user.is_admin = user.admin_by_group = wanted
    tx.db.flush()
    administrators.refuse_when_none_is_left(tx.db)
    audit.record(tx, "user.update", user.id, name=user.name, is_admin=wanted, by_group=True)
