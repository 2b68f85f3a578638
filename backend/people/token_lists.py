"""Tokens and sessions for people who look at them, newest first, and what ends with each token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from backend.models import Alias, Project, Token
from backend.paging import DEFAULT_LIMIT, Page, cut
from backend.people import authentication, tokens
from backend.transactions import Transaction

SHOWN = 50
MOST_SESSIONS = 100


@dataclass(frozen=True)
class Ends:
    """The names of what ends with a token, because it was made with it; SHOWN at most of each."""

    tokens: Sequence[str]
    aliases: Sequence[str]


def find_issued(
    tx: Transaction, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Token]:
    """The tokens of the person who asks."""
    return _newest_first(tx.db, _issued().where(tokens.is_own(tx.principal)), after, limit)


def find_sessions(tx: Transaction) -> Sequence[Token]:
    """The sessions of the person who asks that have not ended, the newest first."""
    own = select(Token).where(
        Token.user_id == tx.principal.user_id, Token.is_session, authentication.in_time()
    )
    return tx.db.scalars(own.order_by(Token.id.desc()).limit(MOST_SESSIONS)).all()


def find_in_project(
    tx: Transaction, project: Project, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Token]:
    """The tokens that are restricted to this project. For its administrators."""
    tx.require("admin", project.id)
    of_project = _issued().where(Token.project_id == project.id)
    return _newest_first(tx.db, of_project, after, limit)


def find_everywhere(
    tx: Transaction, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Token]:
    """The tokens of everybody. For administrators of the installation."""
    tx.principal.require_installation()
    return _newest_first(tx.db, _issued(), after, limit)


def what_ends(tx: Transaction, token_id: str) -> Ends:
    """What revoking this token ends with it. Raises NotFound as `tokens.get` does."""
    return _ends(tx.db, tokens.get(tx, token_id))


def what_ends_in_project(tx: Transaction, project: Project, token_id: str) -> Ends:
    """The same for a token of this project, for its administrators."""
    return _ends(tx.db, tokens.get_of_project(tx, project, token_id))


def _issued() -> Select[Token]:
    return select(Token).where(Token.run_id.is_(None), Token.is_session.is_(False))


def _newest_first(db: Session, query: Select[Token], after: str | None, limit: int) -> Page[Token]:
    if after is not None:
        query = query.where(Token.id < after)
    rows = db.scalars(query.order_by(Token.id.desc()).limit(limit + 1)).all()
    return cut(rows, limit, lambda token: token.id)


def _ends(db: Session, token: Token) -> Ends:
    tree = select(Token.id).where(Token.id == token.id).cte(recursive=True)
    tree = tree.union(select(Token.id).join(tree, Token.parent_id == tree.c.id))
    below = select(tree.c.id)
    others = select(Token.name).where(
        Token.id.in_(below),
        Token.id != token.id,
        authentication.in_time(),
        Token.is_session.is_(False),
    )
    aliases = select(Alias.name).where(Alias.token_id.in_(below), Alias.revoked_at.is_(None))
    return Ends(
        db.scalars(others.order_by(Token.name).limit(SHOWN)).all(),
        db.scalars(aliases.order_by(Alias.name).limit(SHOWN)).all(),
    )
