"""The last one who may administer the installation cannot be removed.

This is a person who is an administrator and can sign in; or a token without an owner that has the
scope admin for all projects and never expires.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists, literal, or_, select
from sqlalchemy.orm import Session

from backend.errors import Conflict
from backend.models import Token, User


def lock(db: Session) -> None:
    """Keep others from removing an administrator until the transaction ends."""
    db.execute(select(User.id).where(User.is_admin).order_by(User.id).with_for_update())
    db.execute(select(Token.id).where(_is_one()).order_by(Token.id).with_for_update())


def refuse_when_none_is_left(db: Session) -> None:
    """Raise Conflict when no administrator is left. Flush the change before."""
    person = and_(User.is_admin, User.password_hash.is_not(None), User.disabled_at.is_(None))
    if not db.scalar(select(or_(exists().where(person), exists().where(_is_one())))):
        raise Conflict(
            "This would leave nobody who can administer the installation. First make a user with a "
            "password administrator, or issue a token with the scope admin that never expires.",
            code="last-administrator",
        )


def _is_one() -> ColumnElement[bool]:
    return and_(
        Token.user_id.is_(None),
        Token.project_id.is_(None),
        Token.run_id.is_(None),
        Token.expires_at.is_(None),
        Token.revoked_at.is_(None),
        (literal(" ") + Token.scopes + " ").like("% admin %"),
    )
