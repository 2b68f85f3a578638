"""People: they sign in with a password, and their tokens may do what their roles allow."""

from __future__ import annotations

from typing import TypedDict, Unpack

from sqlalchemy import delete as delete_from
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import audit, names
from backend.db import now
from backend.errors import Conflict, NotFound
from backend.models import Member, User
from backend.paging import DEFAULT_LIMIT, Page, page
from backend.people import administrators, tokens
from backend.principal import Principal

ME = "me"


class Changes(TypedDict, total=False):
    """`password_hash` is what passwords.hashed made; None: nobody signs in."""

    password_hash: str | None
    is_admin: bool
    disabled: bool


def create(
    db: Session,
    principal: Principal,
    name: str,
    *,
    password_hash: str | None = None,
    is_admin: bool = False,
) -> User:
    """Raises Forbidden for all but the installation's administrators; Invalid, Conflict."""
    principal.require_installation()
    user = User(name=names.check(name, [ME]), password_hash=password_hash, is_admin=is_admin)
    names.store(db, user, "user")
    audit.record(
        db, principal, "user.create", user.id, name=name, is_admin=is_admin,
        has_password=password_hash is not None,
    )  # fmt: skip
    return user


def get(db: Session, principal: Principal, reference: str) -> User:
    """The person of this name or id. Raises Forbidden for all but administrators, NotFound."""
    principal.require_installation()
    return chosen(db, reference)


def chosen(db: Session, reference: str) -> User:
    """The person of this name or id. Raises NotFound."""
    found = db.scalars(select(User).where(names.called(User, reference))).one_or_none()
    if found is None:
        raise NotFound(f"There is no user {reference!r}.")
    return found


def oneself(db: Session, principal: Principal) -> User:
    """The person who asks. Raises NotFound for a token that is nobody's."""
    found = db.scalars(select(User).where(User.id == (principal.user_id or ""))).one_or_none()
    if found is None:
        raise NotFound("This token belongs to no person.", code="no-person")
    return found


def find_all(
    db: Session, principal: Principal, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[User]:
    principal.require_installation()
    return page(db, select(User), User.id, after, limit)


def update(db: Session, principal: Principal, user: User, **changes: Unpack[Changes]) -> User:
    """For administrators. A new password ends the person's sessions; so does being disabled.

    Raises Forbidden, and Conflict when no administrator would be left.
    """
    principal.require_installation()
    administrators.lock(db)
    if "is_admin" in changes:
        user.is_admin = changes["is_admin"]
    if "disabled" in changes:
        since = user.disabled_at or db.scalar(select(now()))
        user.disabled_at = since if changes["disabled"] else None
    if "password_hash" in changes:
        user.password_hash = changes["password_hash"]
    db.flush()
    if user.disabled_at is not None or "password_hash" in changes:
        tokens.end_sessions(db, user.id)
    administrators.refuse_when_none_is_left(db)
    audit.record(
        db, principal, "user.update", user.id, name=user.name,
        is_admin=changes.get("is_admin"), disabled=changes.get("disabled"),
        password=_said(changes),
    )  # fmt: skip
    return user


def _said(changes: Changes) -> str | None:
    if "password_hash" not in changes:
        return None
    return "removed" if changes["password_hash"] is None else "set"


def change_own_password(
    db: Session, principal: Principal, old_hash: str | None, new_hash: str
) -> User:
    """After the old password was verified against `old_hash`. Ends the person's other sessions.

    Raises Conflict when the password was changed meanwhile.
    """
    user = oneself(db, principal)
    db.refresh(user, with_for_update=True)
    if user.password_hash != old_hash:
        raise Conflict("The password was changed meanwhile.", code="password-changed")
    user.password_hash = new_hash
    tokens.end_sessions(db, user.id, but=principal.token_id)
    audit.record(db, principal, "user.password", user.id, name=user.name)
    return user


def delete(db: Session, principal: Principal, user: User) -> None:
    """Delete a person, with his memberships; his tokens end, and what was made with them.

    Raises Forbidden, and Conflict when no administrator would be left.
    """
    principal.require_installation()
    administrators.lock(db)
    ended = tokens.revoke_of_person(db, user.id)
    db.execute(delete_from(Member).where(Member.user_id == user.id))
    db.delete(user)
    db.flush()
    administrators.refuse_when_none_is_left(db)
    audit.record(db, principal, "user.delete", user.id, name=user.name, tokens=ended or None)
