"""Logins: exchange a name and password, or the secret of a token, for a token that soon expires."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from sqlalchemy import delete as delete_from
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import audit, names
from backend.db import now
from backend.errors import Unauthorised
from backend.models import Token, User
from backend.people import authentication, passwords, throttles, tokens
from backend.people.throttles import Counter, Limit
from backend.principal import Principal
from backend.sealing import faults, proven
from backend.transactions import Caller, Installation, Transaction

log = structlog.get_logger()

CLIENT_LIFE = timedelta(hours=1)
SESSION_LIFE = timedelta(hours=12)
KEPT = timedelta(days=30)  # how long the token of a login is kept after it has expired
# refused logins that are written into the audit log, and who reads it: 100 a minute
NOTED = Counter.of(Limit(free=100, every=0.6), "noted refusals")
UNKNOWN = "unknown"  # recorded instead of what was typed as a name, which may be the password


class LoginRefused(Unauthorised):
    """`thing` is the id of the user or token that was tried, if there is one."""

    code = "login-refused"

    def __init__(
        self,
        thing: str | None = None,
        project_id: str | None = None,
        *,
        message: str = "The login is refused: the name or the secret is wrong or disabled.",
        code: str | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.thing = thing or UNKNOWN
        self.project_id = project_id


@dataclass(frozen=True)
class _Person:
    """The person who wants to sign in. `id` is None for a name that nobody has."""

    id: str | None
    password_hash: str | None


def sign_in(
    here: Installation, name: str, password: str, address: str, device: str = "login"
) -> tuple[Token, str]:
    """Sign a person in: returns a session (a token that soon expires) and its secret.

    `address` is the client's, and `device` how the session is listed. Raises Throttled after too
    many attempts for the name, LoginRefused for a wrong password, and Unavailable when too many
    passwords are being checked.
    """
    database = here.database
    counters = throttles.of_login("user", name, address)
    throttles.check(database, counters)
    with here.itself.reading() as tx:
        person = _person(tx.db, name)
    match = passwords.verify(
        person.password_hash, password, lambda: throttles.count(database, counters)
    )
    if not match.fits:
        raise LoginRefused(person.id)
    throttles.forgive(database, counters)
    rehashed = passwords.hashed(password) if match.outdated else None
    with here.itself.transaction() as tx:
        return begin_session(tx, _still(tx, person, rehashed), device)


def exchange(
    here: Installation, client_id: str, client_secret: str, scopes: Sequence[str] | None = None
) -> tuple[Token, str]:
    """Exchange a token's id and secret for a token of the same rights that lasts at most an hour.

    `scopes`, if given, restricts it. Raises LoginRefused, and Invalid and Forbidden as
    `tokens.issue`.
    """
    with here.itself.reading() as tx:
        found = _client(tx.db, client_id, client_secret)
    # the new token ends with the one that it was made with, even if that is a session
    with Caller(here, replace(found, is_session=False)).transaction() as tx:
        return _issue_exchanged(tx, scopes)


def note_refused(here: Installation, refused: LoginRefused) -> None:
    """Write a refused login into the audit log, without what was typed: it may be the password.

    At most 100 a minute are written.
    """
    if throttles.is_over(here.database, NOTED):
        return
    with here.itself.transaction() as tx:
        audit.record(
            tx, "login.refused", refused.thing, project_id=refused.project_id,
            why=None if refused.code == LoginRefused.code else refused.code,
        )  # fmt: skip


def _person(db: Session, name: str) -> _Person:
    """The person of this name, whose password is then verified outside any transaction."""
    user = None
    if names.may_be(name):
        user = db.scalars(select(User).where(User.name == name)).one_or_none()
    if user is None:
        return _Person(None, None)
    if faults.found(lambda: proven.check(db, user)) is not None:
        log.error("row_refused", table="users", id=user.id)
        return _Person(user.id, None)
    return _Person(user.id, None if user.disabled_at else user.password_hash)


def _still(tx: Transaction, verified: _Person, rehashed: str | None) -> User:
    """The person, unless they or their password were changed meanwhile. Raises LoginRefused."""
    user = tx.db.scalars(
        select(User)
        .where(
            User.id == verified.id,
            User.password_hash == verified.password_hash,
            User.disabled_at.is_(None),
        )
        .with_for_update()
    ).one_or_none()
    if user is None:
        raise LoginRefused(verified.id)
    user.password_hash = rehashed or user.password_hash
    return user


def begin_session(tx: Transaction, user: User, device: str) -> tuple[Token, str]:
    """Begin a session of a person who was verified and locked. Returns it with its secret."""
    db = tx.db
    user.last_login_at = db.scalar(select(now()))
    _forget_old(db, Token.user_id == user.id, Token.is_session)
    token, secret = tokens.store(
        db,
        name=device,
        scopes="admin",
        user_id=user.id,
        is_session=True,
        expires_at=db.scalar(select(now(SESSION_LIFE))),
        created_by=user.name,
    )
    person = Principal(user.name, token.id, frozenset(), user_id=user.id)
    audit.record(replace(tx, principal=person), "login", token.id)
    return token, secret


def _client(db: Session, client_id: str, client_secret: str) -> Principal:
    """The principal of the token with this id and secret. Raises LoginRefused."""
    try:
        found = authentication.authenticate(db, client_secret)
    except Unauthorised:
        found = None
    if found is None or found.token_id != client_id or found.run_id is not None:
        raise _refusal(db, client_id)
    return found


def _refusal(db: Session, client_id: str) -> LoginRefused:
    token = db.get(Token, client_id) if names.may_be(client_id) else None
    return LoginRefused() if token is None else LoginRefused(token.id, token.project_id)


def _issue_exchanged(tx: Transaction, scopes: Sequence[str] | None) -> tuple[Token, str]:
    principal = tx.principal
    _forget_old(tx.db, Token.parent_id == principal.token_id)
    return tokens.issue_within(
        tx,
        f"login of {principal.name}"[:64],
        scopes or sorted(principal.scopes),
        project_id=principal.project_id,
        expires_at=tx.db.scalar(select(now(CLIENT_LIFE))),
    )


def _forget_old(db: Session, *which: object) -> None:
    db.execute(
        delete_from(Token)
        .where(*which, Token.expires_at < now(-KEPT))  # type: ignore[arg-type]
        .execution_options(synchronize_session=False)
    )
