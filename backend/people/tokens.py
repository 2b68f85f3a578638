"""API credentials: shown once, kept hashed, with scopes, a project and an expiry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, or_, select, update
from sqlalchemy.orm import Session

from backend import audit
from backend.db import execute, now
from backend.errors import Forbidden, Invalid, NotFound, Unauthorised
from backend.models import ACTIVE, Alias, Member, Run, Token, User
from backend.paging import DEFAULT_LIMIT, Page, page
from backend.people import administrators
from backend.principal import ALIASES, ROLES, SCOPES, Principal
from backend.sealing import crypto

PREFIX = "stateroom"
USE_IS_NOTED_EVERY = timedelta(minutes=1)
RUN_SCOPES = ("state:read", "state:write")
RESCUE = "state:rescue"  # not for people: all that a dead run may still do
RUN_TOKEN_LIFE = timedelta(days=2)


def issue(  # noqa: PLR0913 the columns of a token
    db: Session,
    principal: Principal,
    name: str,
    scopes: Sequence[str],
    *,
    project_id: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """A new token and its secret, which is never shown again. It does not outlive its maker.

    Raises Invalid for an unknown scope, Forbidden for one the principal does not have itself.
    """
    wanted = _expand(scopes)
    for scope in wanted:
        principal.require_held(scope)
    if principal.project_id is not None and project_id != principal.project_id:
        raise Forbidden("A project's token makes tokens of its own project only.")
    token, secret = store(
        db,
        name=name,
        scopes=" ".join(wanted),
        project_id=project_id,
        user_id=principal.user_id,
        parent_id=parent(db, principal),
        expires_at=principal.within_its_life(expires_at),
        created_by=principal.name,
    )
    audit.record(db, principal, "token.issue", token.id, project_id=project_id, scopes=wanted)
    return token, secret


def store(db: Session, **columns: Any) -> tuple[Token, str]:
    """A new row and its secret. Who may make it was decided, and is audited, by the caller."""
    secret = crypto.new_token(PREFIX)
    token = Token(hash=crypto.token_hash(secret), **columns)
    db.add(token)
    db.flush()
    return token, secret


def parent(db: Session, principal: Principal) -> str | None:
    """The token that something is made with, and ends with. What a session makes is its person's.

    Raises Unauthorised when it was revoked meanwhile.
    """
    if not principal.token_id:
        return None
    alive = select(Token.id).where(Token.id == principal.token_id, in_time())
    if db.scalar(alive.with_for_update(read=True)) is None:
        raise Unauthorised("The token was revoked in this moment.")
    return None if principal.is_session else principal.token_id


def issue_for_run(db: Session, run: Run, state_id: str) -> str:
    """The credential of one claim of one run: it opens one state, and dies with the epoch."""
    secret = crypto.new_token(PREFIX)
    db.add(
        Token(
            hash=crypto.token_hash(secret),
            name=f"run {run.id}",
            scopes=" ".join(RUN_SCOPES),
            project_id=run.project_id,
            state_id=state_id,
            run_id=run.id,
            run_epoch=run.epoch,
            expires_at=db.scalar(select(now(RUN_TOKEN_LIFE))),
            created_by="stateroom",
        )
    )
    return secret


def looks_like_one(secret: str) -> bool:
    return secret.startswith(f"{PREFIX}_") and crypto.token_well_formed(secret)


def authenticate(db: Session, secret: str) -> Principal:
    """Who this secret belongs to. Raises Unauthorised for every secret that opens nothing.

    The credential of a run that is over, or was taken from its worker, opens nothing either; but
    what it still wants to write is rescued, for a while.
    """
    row = None
    if crypto.token_well_formed(secret):
        row = execute(db, _BY_HASH, {"hash": crypto.token_hash(secret)}).one_or_none()
    if row is None:
        raise Unauthorised(
            "The token is not valid: it is mistyped, expired or revoked. "
            "Send it as a Bearer token, or as the password of Basic (with any username)."
        )
    return Principal(
        name=row.name if row.user_id is None else row.user_name,
        token_id=row.id,
        scopes=frozenset(row.scopes.split() if row.is_alive else [RESCUE]),
        project_id=row.project_id,
        state_id=row.state_id,
        run_id=row.run_id,
        run_epoch=row.run_epoch,
        user_id=row.user_id,
        roles=None if row.user_id is None or row.is_admin else _roles(db, row.user_id),
        is_session=bool(row.is_session),
        expires_at=row.expires_at,
        use_is_due=bool(row.use_is_due),
    )


def _roles(db: Session, user_id: str) -> dict[str, frozenset[str]]:
    """The scopes of a person in each project he is a member of."""
    found = db.connection().execute(_MEMBERSHIPS, {"user": user_id})
    return {project_id: ROLES[role] for project_id, role in found}


def note_use(db: Session, token_id: str) -> None:
    """Remember that the token was used, at most once a minute."""
    db.execute(
        update(Token)
        .where(Token.id == token_id, _use_is_due())
        .values(last_used_at=now())
        .execution_options(synchronize_session=False)
    )


def _use_is_due() -> ColumnElement[bool]:
    return or_(Token.last_used_at.is_(None), Token.last_used_at < now(-USE_IS_NOTED_EVERY))


def in_time() -> ColumnElement[bool]:
    """Neither revoked nor expired."""
    unexpired = or_(Token.expires_at.is_(None), Token.expires_at > now())
    return and_(Token.revoked_at.is_(None), unexpired)


def _person_is_there() -> ColumnElement[bool]:
    enabled = and_(User.id.is_not(None), User.disabled_at.is_(None))
    return or_(Token.user_id.is_(None), enabled)


def _run_is_alive() -> ColumnElement[bool]:
    at_work = and_(Run.epoch == Token.run_epoch, Run.status.in_(ACTIVE))
    return or_(Token.run_id.is_(None), at_work)


# Every request asks this: making it would take longer than executing it.
_BY_HASH = (
    select(
        *(Token.id, Token.name, Token.scopes, Token.project_id, Token.state_id),
        *(Token.run_id, Token.run_epoch, Token.expires_at),
        *(Token.user_id, Token.is_session, User.name.label("user_name"), User.is_admin),
        _run_is_alive().label("is_alive"),
        _use_is_due().label("use_is_due"),
    )
    .outerjoin(Run, Run.id == Token.run_id)
    .outerjoin(User, User.id == Token.user_id)
    .where(Token.hash == bindparam("hash"), in_time(), _person_is_there())
)
_MEMBERSHIPS = select(Member.project_id, Member.role).where(Member.user_id == bindparam("user"))


def get(db: Session, principal: Principal, token_id: str) -> Token:
    token = db.scalars(_visible(principal).where(Token.id == token_id)).one_or_none()
    if token is None:
        raise NotFound(f"There is no token {token_id}.")
    return token


def find_all(
    db: Session, principal: Principal, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Token]:
    """Those that an administrator of the project, or of the installation, sees; else one's own."""
    return page(db, _visible(principal), Token.id, after, limit)


def find_own(
    db: Session, principal: Principal, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Token]:
    """A person's tokens; for a narrow one, or one that is nobody's: itself and what it made."""
    return page(db, _all().where(_is_own(principal)), Token.id, after, limit)


def revoke(db: Session, principal: Principal, token_id: str) -> None:
    """End a token now, with all that was made with it. Revoking it twice is harmless.

    Raises Conflict when nobody would be left to administer the installation.
    """
    token = get(db, principal, token_id)
    if token.revoked_at is not None:
        return
    administrators.lock(db)
    ended = _revoke(db, Token.id == token.id)
    administrators.refuse_when_none_is_left(db)
    db.refresh(token)
    audit.record(
        db, principal, "token.revoke", token.id, project_id=token.project_id,
        with_it=sorted(ended - {token.id}) or None,
    )  # fmt: skip


def revoke_of_person(db: Session, user_id: str) -> int:
    """End all tokens of a person, and what was made with them. How many there were."""
    return len(_revoke(db, Token.user_id == user_id))


def end_sessions(db: Session, user_id: str, but: str = "") -> None:
    """Sign a person out everywhere, but for one session. The tokens he made go on."""
    _revoke(db, and_(Token.user_id == user_id, Token.is_session, Token.id != but))


def _revoke(db: Session, which: ColumnElement[bool]) -> set[str]:
    """Revoke these, and all tokens and aliases below them: the ids of tokens still alive.

    Again, until nothing is left: one that was just being made is seen by the next statement.
    """
    tree = select(Token.id).where(which).cte(recursive=True)
    tree = tree.union(select(Token.id).join(tree, Token.parent_id == tree.c.id))
    revoking = (
        update(Token)
        .where(Token.id.in_(select(tree.c.id)), in_time())
        .values(revoked_at=now())
        .returning(Token.id)
        .execution_options(synchronize_session=False)
    )
    ended: set[str] = set()
    while found := set(db.scalars(revoking)):
        ended |= found
    db.execute(
        update(Alias)
        .where(Alias.token_id.in_(select(tree.c.id)), Alias.revoked_at.is_(None))
        .values(revoked_at=now(), key_id=None)
        .execution_options(synchronize_session=False)
    )
    return ended


def _visible(principal: Principal) -> Select[Token]:
    if not principal.may("admin", principal.project_id):
        return _all().where(_is_own(principal))
    if principal.project_id is not None:
        return _all().where(Token.project_id == principal.project_id)
    return _all()


def _all() -> Select[Token]:
    return select(Token).where(Token.run_id.is_(None))


def _is_own(principal: Principal) -> ColumnElement[bool]:
    """What a narrow token of a person sees is narrow too: it cannot end the others."""
    if principal.user_id is not None and principal.project_id is None and principal.holds("admin"):
        return Token.user_id == principal.user_id
    return or_(Token.id == principal.token_id, Token.parent_id == principal.token_id)


def _expand(scopes: Sequence[str]) -> list[str]:
    wanted: list[str] = []
    for scope in scopes:
        if scope not in SCOPES and scope not in ALIASES:
            raise Invalid(f"There is no scope {scope!r}. The scopes are {', '.join(SCOPES)}.")
        wanted.extend(ALIASES.get(scope, (scope,)))
    return sorted(set(wanted))
