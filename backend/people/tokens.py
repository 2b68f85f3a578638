"""API credentials: shown once, kept hashed, with scopes, a project and an expiry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import Session

from backend import audit
from backend.db import now
from backend.errors import Forbidden, Invalid, NotFound, Unauthorised
from backend.models import HARMLESS, Alias, Project, Run, Token
from backend.paging import DEFAULT_LIMIT, Page, page
from backend.people import administrators, authentication
from backend.principal import ALIASES, LOCK, SCOPES, Principal
from backend.sealing import crypto
from backend.transactions import Transaction

# What the credential of a run may do at most. A transfer writes nothing with it: its worker does.
_PLANNING, _APPLYING = ("state:read", LOCK), ("state:read", "state:write")
RUN_SCOPES = dict.fromkeys(HARMLESS, _PLANNING) | dict.fromkeys(
    ("apply", "destroy", "refresh"), _APPLYING
)
RUN_TOKEN_LIFE = timedelta(days=2)


def issue(
    tx: Transaction,
    name: str,
    scopes: Sequence[str],
    *,
    project_id: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """Issue a token and return it with its secret, which is never shown again.

    It ends with the token that it was made with, unless that is a session. A person issues tokens
    of their own; a token without an owner needs the scope admin to issue others. Raises Invalid
    for an unknown scope, and Forbidden for a scope that the principal does not have.
    """
    if tx.principal.user_id is None:
        tx.principal.require_installation()
    return issue_within(tx, name, scopes, project_id=project_id, expires_at=expires_at)


def issue_for_project(
    tx: Transaction,
    project: Project,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """Issue a token for this project only. For administrators of the project."""
    tx.require("admin", project.id)
    return issue_within(tx, name, scopes, project_id=project.id, expires_at=expires_at)


def issue_within(
    tx: Transaction,
    name: str,
    scopes: Sequence[str],
    *,
    project_id: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """Issue a token with at most the scopes and projects of the principal."""
    principal = tx.principal
    wanted = _expand(scopes)
    for scope in wanted:
        principal.require_held(scope)
    if principal.project_id is not None and project_id != principal.project_id:
        raise Forbidden("A token of a project can only issue tokens for that project.")
    token, secret = store(
        tx.db,
        name=name,
        scopes=" ".join(wanted),
        project_id=project_id,
        user_id=principal.user_id,
        parent_id=parent(tx),
        expires_at=principal.within_its_life(expires_at),
        created_by=principal.name,
    )
    audit.record(tx, "token.issue", token.id, project_id=project_id, scopes=wanted)
    return token, secret


def store(db: Session, **columns: Any) -> tuple[Token, str]:
    """Store a new token and return it with its secret. The caller checks scopes and audits."""
    secret = crypto.new_token(authentication.PREFIX)
    token = Token(hash=crypto.token_hash(secret), **columns)
    db.add(token)
    db.flush()
    return token, secret


def parent(tx: Transaction) -> str | None:
    """The id of the token that something new is made with, and with which it will end.

    It is None for a session: what is made with it belongs to the person. Raises Unauthorised when
    the token was revoked in the meantime.
    """
    principal = tx.principal
    if not principal.token_id:
        return None
    alive = select(Token.id).where(Token.id == principal.token_id, authentication.in_time())
    if tx.db.scalar(alive.with_for_update(read=True)) is None:
        raise Unauthorised("The token was revoked just now.")
    return None if principal.is_session else principal.token_id


def issue_for_run(db: Session, run: Run, state_id: str) -> str:
    """The credential of one claim of a run. It opens one state, until the claim ends.

    It reads and locks. That of an apply, a destroy or a refresh also writes, while the run applies.
    """
    secret = crypto.new_token(authentication.PREFIX)
    db.add(
        Token(
            hash=crypto.token_hash(secret),
            name=f"run {run.id}",
            scopes=" ".join(RUN_SCOPES.get(run.operation, ("state:read",))),
            project_id=run.project_id,
            state_id=state_id,
            run_id=run.id,
            run_epoch=run.epoch,
            expires_at=db.scalar(select(now(RUN_TOKEN_LIFE))),
            created_by="stateroom",
        )
    )
    return secret


def get(tx: Transaction, token_id: str) -> Token:
    """One of the tokens that `find_all` returns. Raises NotFound for all others."""
    return _get(tx.db, _visible(tx.principal), token_id)


def get_of_project(tx: Transaction, project: Project, token_id: str) -> Token:
    """A token of this project, for its administrators. Raises NotFound."""
    tx.require("admin", project.id)
    return _get(tx.db, _of_project(project), token_id)


def _get(db: Session, tokens: Select[Token], token_id: str) -> Token:
    token = db.scalars(tokens.where(Token.id == token_id)).one_or_none()
    if token is None:
        raise NotFound(f"There is no token {token_id}.")
    return token


def find_all(tx: Transaction, after: str | None = None, limit: int = DEFAULT_LIMIT) -> Page[Token]:
    """All tokens for an administrator of the installation, and for a person their own.

    Raises Forbidden for a token that has no owner and is not an administrator's.
    """
    if tx.principal.user_id is None:
        tx.principal.require_installation()
    return page(tx.db, _visible(tx.principal), Token.id, after, limit)


def find_of_project(
    tx: Transaction, project: Project, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Token]:
    """The tokens of this project, for its administrators."""
    tx.require("admin", project.id)
    return page(tx.db, _of_project(project), Token.id, after, limit)


def find_own(tx: Transaction, after: str | None = None, limit: int = DEFAULT_LIMIT) -> Page[Token]:
    """The tokens of the person who asks.

    A token that is restricted to a project or has no owner sees only itself and those made with it.
    """
    return page(tx.db, _all().where(is_own(tx.principal)), Token.id, after, limit)


def revoke(tx: Transaction, token_id: str) -> None:
    """Revoke a token, and everything that was made with it. Revoking it twice is harmless.

    Raises NotFound, and Conflict when nobody would be left to administer the installation.
    """
    _end(tx, get(tx, token_id))


def revoke_of_project(tx: Transaction, project: Project, token_id: str) -> None:
    """The same as `revoke`, for a token of this project. For administrators of the project."""
    _end(tx, get_of_project(tx, project, token_id))


def _end(tx: Transaction, token: Token) -> None:
    if token.revoked_at is not None:
        return
    administrators.lock(tx.db)
    ended = _revoke(tx.db, Token.id == token.id)
    administrators.refuse_when_none_is_left(tx.db)
    tx.db.refresh(token)
    audit.record(
        tx, "token.revoke", token.id, project_id=token.project_id,
        with_it=sorted(ended - {token.id}) or None,
    )  # fmt: skip


def revoke_of_person(db: Session, user_id: str) -> int:
    """Revoke all tokens of a person, and what was made with them. Returns how many there were."""
    return len(_revoke(db, Token.user_id == user_id))


def end_sessions(db: Session, user_id: str, but: str = "") -> None:
    """End all sessions of a person except `but`. Tokens that they issued stay valid."""
    _revoke(db, and_(Token.user_id == user_id, Token.is_session, Token.id != but))


def _revoke(db: Session, which: ColumnElement[bool]) -> set[str]:
    """Revoke these and all tokens and aliases made with them. Returns the ids of revoked tokens.

    It repeats until nothing is left: a token that is made at the same time is found the next time.
    """
    tree = select(Token.id).where(which).cte(recursive=True)
    tree = tree.union(select(Token.id).join(tree, Token.parent_id == tree.c.id))
    revoked = select(Token).where(Token.id.in_(select(tree.c.id)), authentication.in_time())
    aliases = select(Alias).where(Alias.token_id.in_(select(tree.c.id)), Alias.revoked_at.is_(None))
    locked = {"populate_existing": True}
    moment = db.scalar(select(now()))
    ended: set[str] = set()
    while found := db.scalars(revoked.with_for_update(), execution_options=locked).all():
        for token in found:
            token.revoked_at = moment
        ended |= {token.id for token in found}
        db.flush()
    for alias in db.scalars(aliases.with_for_update(), execution_options=locked).all():
        alias.revoked_at, alias.key_id = moment, None
    db.flush()
    return ended


def _visible(principal: Principal) -> Select[Token]:
    if not principal.may("admin", principal.project_id):
        return _all().where(is_own(principal))
    if principal.project_id is not None:
        return _all().where(Token.project_id == principal.project_id)
    return _all()


def _of_project(project: Project) -> Select[Token]:
    return _all().where(Token.project_id == project.id)


def _all() -> Select[Token]:
    return select(Token).where(Token.run_id.is_(None))


def is_own(principal: Principal) -> ColumnElement[bool]:
    """A restricted token of a person does not see that person's other tokens, or revoke them."""
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
