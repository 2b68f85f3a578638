"""Users: people who sign in. Their tokens may do what their roles allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict, Unpack

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend import audit, names
from backend.db import now
from backend.errors import Conflict, Forbidden, NotFound
from backend.models import Member, Project, Token, User
from backend.paging import DEFAULT_LIMIT, Page, page
from backend.people import administrators, authentication, passwords, throttles, tokens
from backend.sealing import proven
from backend.transactions import Caller, Installation, Transaction

ME = "me"


class Changes(TypedDict, total=False):
    """`password_hash` is from `passwords.hashed`. With None the user cannot sign in."""

    password_hash: str | None
    is_admin: bool
    disabled: bool


@dataclass(frozen=True)
class Belongings:
    """The roles of a person by project, and how many valid tokens and sessions there are."""

    roles: Mapping[str, str]
    tokens: int
    sessions: int


def hash_password(caller: Caller, password: str) -> str:
    """The hash of a password that an administrator chooses for somebody.

    It takes a tenth of a second: do not call it inside a transaction. Raises Forbidden, Invalid,
    Unavailable.
    """
    caller.principal.require_installation()
    return passwords.hash_new(password)


def create(
    tx: Transaction, name: str, *, password_hash: str | None = None, is_admin: bool = False
) -> User:
    """Create a user, for administrators of the installation.

    Raises Forbidden, Invalid, Conflict.
    """
    tx.principal.require_installation()
    user = User(name=names.check(name, [ME]), password_hash=password_hash, is_admin=is_admin)
    names.store(tx.db, user, "user")
    audit.record(
        tx, "user.create", user.id, name=name, is_admin=is_admin,
        has_password=password_hash is not None,
    )  # fmt: skip
    return user


def is_anybody_there(here: Installation) -> bool:
    """Whether there is a person who can sign in."""
    with here.database.reading() as db:
        return db.scalar(select(User.id).where(User.disabled_at.is_(None)).limit(1)) is not None


def create_first(here: Installation, secret: str, name: str, password: str, address: str) -> User:
    """Create the first person, an administrator, for who has an administrator's token.

    `address` is the client's. Raises Throttled, Unauthorised, Forbidden, Invalid, and Conflict when
    there is somebody already.
    """
    throttles.count(here.database, throttles.of_login("first", "administrator", address))
    with here.database.reading() as db:
        caller = Caller(here, authentication.authenticate(db, secret))
    hashed = hash_password(caller, password)
    with caller.transaction() as tx:
        administrators.lock(tx.db)
        if tx.db.scalar(select(User.id).limit(1)) is not None:
            raise Conflict("There are people already: sign in.", code="not-the-first")
        return create(tx, name, password_hash=hashed, is_admin=True)


def get(tx: Transaction, reference: str) -> User:
    """The person with this name or id. For administrators. Raises Forbidden, NotFound."""
    tx.principal.require_installation()
    return named(tx.db, reference)


def named(db: Session, reference: str) -> User:
    """The person with this name or id. Raises NotFound."""
    found = db.scalars(select(User).where(names.called(User, reference))).one_or_none()
    if found is None:
        raise NotFound(f"There is no user {reference!r}.")
    return found


def oneself(tx: Transaction) -> User:
    """The person who asks. Raises NotFound for a token without an owner, and Unreadable."""
    user_id = tx.principal.user_id or ""
    found = tx.db.scalars(select(User).where(User.id == user_id)).one_or_none()
    if found is None:
        raise NotFound("This token does not belong to a person.", code="no-person")
    tx.keyring.proofs.check(found)
    return found


def find_all(tx: Transaction, after: str | None = None, limit: int = DEFAULT_LIMIT) -> Page[User]:
    """All people. For administrators of the installation."""
    tx.principal.require_installation()
    return page(tx.db, select(User), User.id, after, limit)


def belongings(tx: Transaction, user: User) -> Belongings:
    """What goes with a person. For administrators of the installation."""
    tx.principal.require_installation()
    roles = select(Project.name, Member.role).join(Project, Project.id == Member.project_id)
    mine = select(Token.is_session, func.count()).where(
        Token.user_id == user.id, authentication.in_time()
    )
    alive = dict(tx.db.execute(mine.group_by(Token.is_session)).all())
    found = tx.db.execute(roles.where(Member.user_id == user.id).order_by(Project.name)).all()
    return Belongings(dict(found), alive.get(False, 0), alive.get(True, 0))


def update(tx: Transaction, reference: str, **changes: Unpack[Changes]) -> User:
    """Change a user. For administrators. A new password, or disabling, ends the user's sessions.

    Raises Forbidden, NotFound, and Conflict when no administrator would be left.
    """
    user, db = get(tx, reference), tx.db
    tx.keyring.proofs.check(user)
    administrators.lock(db)
    if "is_admin" in changes:
        user.is_admin, user.admin_by_group = changes["is_admin"], False
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
        tx, "user.update", user.id, name=user.name,
        is_admin=changes.get("is_admin"), disabled=changes.get("disabled"),
        password=_said(changes),
    )  # fmt: skip
    return user


def _said(changes: Changes) -> str | None:
    if "password_hash" not in changes:
        return None
    return "removed" if changes["password_hash"] is None else "set"


def change_own_password(caller: Caller, old: str, new: str, address: str) -> User:
    """Change the password of the person who asks, and end their other sessions.

    `address` is the client's. Raises Forbidden when the old one is wrong, Throttled after too many
    wrong ones, NotFound for a token without an owner, and Conflict when the password was changed in
    the meantime.
    """
    with caller.reading() as tx:
        before = oneself(tx)
    database = caller.here.database
    counters = throttles.of_login("user", before.name, address)

    def count() -> None:
        throttles.count(database, counters)

    if not passwords.verify(before.password_hash, old, count).fits:
        raise Forbidden("The old password is wrong.", code="old-password-wrong")
    throttles.forgive(database, counters)
    new_hash = passwords.hash_new(new)
    with caller.transaction() as tx:
        return _replace_own_password(tx, before.password_hash, new_hash)


def _replace_own_password(tx: Transaction, old_hash: str | None, new_hash: str) -> User:
    user = oneself(tx)
    tx.db.refresh(user, with_for_update=True)
    if user.password_hash != old_hash:
        raise Conflict("Somebody changed the password meanwhile.", code="password-changed")
    user.password_hash = new_hash
    tokens.end_sessions(tx.db, user.id, but=tx.principal.token_id)
    audit.record(tx, "user.password", user.id, name=user.name)
    return user


def delete(tx: Transaction, reference: str) -> None:
    """Delete a user and their memberships, and revoke their tokens and what was made with them.

    Raises Forbidden, NotFound, and Conflict when no administrator would be left.
    """
    user, db = get(tx, reference), tx.db
    administrators.lock(db)
    ended = tokens.revoke_of_person(db, user.id)
    proven.delete_all(db, Member, Member.user_id == user.id)
    db.delete(user)
    db.flush()
    administrators.refuse_when_none_is_left(db)
    audit.record(tx, "user.delete", user.id, name=user.name, tokens=ended or None)
