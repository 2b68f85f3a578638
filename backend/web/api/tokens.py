from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from flask import Response
from pydantic import BeforeValidator, Field

from backend.catalogue import projects
from backend.models import Token as TokenRow
from backend.people import members, tokens, users
from backend.principal import ALIASES, SCOPES
from backend.transactions import Transaction
from backend.web.api.answers import (
    WITH_BODY,
    Answer,
    Cursor,
    Page,
    ProjectPath,
    Reference,
    Repeatable,
    answer,
    blueprint,
    once,
    problems,
)
from backend.web.api.expiry import Expiring
from backend.web.current import principal, reading, transaction

bp = blueprint("tokens", "API credentials: shown once, with scopes and an expiry")


def _words(scopes: object) -> object:
    return scopes.split() if isinstance(scopes, str) else scopes


class TokenPath(Answer):
    token: str = Field(max_length=40, pattern=r"^[^\x00]*$", description="The token's id")


class ProjectTokenPath(TokenPath, ProjectPath):
    pass


class NewToken(Expiring):
    name: str = Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")
    scopes: list[str] = Field(
        min_length=1, max_length=40, description=", ".join((*SCOPES, *ALIASES))
    )


class NewOwnToken(NewToken):
    project: Reference | None = Field(
        None, description="Restrict it to this project (name or id); null: all that you may see"
    )


class TokenFilter(Cursor):
    mine: bool = Field(default=False, description="Only your own, also if you are administrator")


class Token(Answer):
    id: str
    name: str
    scopes: Annotated[list[str], BeforeValidator(_words)]
    project_id: str | None = Field(description="The project that it is restricted to; null: none")
    user_id: str | None = Field(
        description="The owner, whose roles limit what it may do; null: no owner"
    )
    parent_id: str | None = Field(
        description="The token with which it was made, and with which it ends; null: none"
    )
    is_session: bool = Field(description="Made by signing in with a password")
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class IssuedToken(Token):
    secret: str | None = Field(None, description="Shown only now; null for a repeated request")


class Tokens(Page[Token]):
    pass


class Person(Answer):
    id: str
    name: str
    is_admin: bool = Field(description="Administrator of the whole installation")


class WhoAmI(Answer):
    token_id: str
    name: str = Field(description="The name of the user, or else of the token")
    scopes: list[str]
    project_id: str | None = Field(description="The project it is restricted to; null: none")
    user: Person | None = Field(description="The owner of the token; null: no owner")
    roles: dict[str, str] | None = Field(
        description="The user's role in each project; null: not limited by roles"
    )


@bp.get("/whoami", responses={200: WhoAmI})
def who_am_i() -> Response:
    """The owner of the token, and what it may do."""
    who = principal()
    with reading() as tx:
        user = None if who.user_id is None else users.oneself(tx)
        roles = None if who.roles is None or user is None else members.roles_of(tx.db, user.id)
    return answer(
        WhoAmI(
            token_id=who.token_id,
            name=who.name,
            scopes=sorted(who.scopes),
            project_id=who.project_id,
            user=None if user is None else Person.model_validate(user),
            roles=roles,
        )
    )


@bp.get("/tokens", responses={200: Tokens})
def list_tokens(query: TokenFilter) -> Response:
    """Your own tokens, or all tokens for administrators of the installation."""
    find = tokens.find_own if query.mine else tokens.find_all
    with reading() as tx:
        found = find(tx, query.cursor, query.limit)
    return answer(Tokens.model_validate(found))


@bp.post("/tokens", responses={201: IssuedToken, **WITH_BODY})
def create_token(header: Repeatable, body: NewOwnToken) -> Response:
    """Issue a token of your own. It may do what its scopes and your roles allow.

    An administrator's token without an owner issues tokens without an owner, for all projects.
    """

    def issue() -> tuple[TokenRow, str]:
        project = None if body.project is None else projects.get(tx, body.project).id
        return tokens.issue(
            tx, body.name, body.scopes, project_id=project, expires_at=body.expiry()
        )

    with transaction() as tx:
        issued = _once(tx, header, issue, lambda made: tokens.get(tx, made))
    return answer(issued, 201)


@bp.get("/tokens/<token>", responses={200: Token})
def get_token(path: TokenPath) -> Response:
    """One of your tokens, or any token for administrators of the installation."""
    with reading() as tx:
        found = tokens.get(tx, path.token)
    return answer(Token.model_validate(found))


@bp.delete("/tokens/<token>", responses={204: None, **problems(409)})
def revoke_token(path: TokenPath) -> Response:
    """Revoke a token and what was made with it: one of yours, or any for administrators."""
    with transaction() as tx:
        tokens.revoke(tx, path.token)
    return Response(status=204)


@bp.get("/projects/<project>/tokens", responses={200: Tokens})
def list_project_tokens(path: ProjectPath, query: Cursor) -> Response:
    """The tokens of a project."""
    with reading() as tx:
        project = projects.named(tx, path.project)
        found = tokens.find_of_project(tx, project, query.cursor, query.limit)
    return answer(Tokens.model_validate(found))


@bp.post("/projects/<project>/tokens", responses={201: IssuedToken, **WITH_BODY})
def create_project_token(path: ProjectPath, header: Repeatable, body: NewToken) -> Response:
    """Issue a token for this project only."""
    with transaction() as tx:
        project = projects.named(tx, path.project)
        issued = _once(
            tx,
            header,
            lambda: tokens.issue_for_project(tx, project, body.name, body.scopes, body.expiry()),
            lambda made: tokens.get_of_project(tx, project, made),
        )
    return answer(issued, 201)


@bp.get("/projects/<project>/tokens/<token>", responses={200: Token})
def get_project_token(path: ProjectTokenPath) -> Response:
    """One token of this project."""
    with reading() as tx:
        found = tokens.get_of_project(tx, projects.named(tx, path.project), path.token)
    return answer(Token.model_validate(found))


@bp.delete("/projects/<project>/tokens/<token>", responses={204: None, **problems(409)})
def revoke_project_token(path: ProjectTokenPath) -> Response:
    """Revoke a token of this project, and what was made with it."""
    with transaction() as tx:
        tokens.revoke_of_project(tx, projects.named(tx, path.project), path.token)
    return Response(status=204)


def _once(
    tx: Transaction,
    header: Repeatable,
    issue: Callable[[], tuple[TokenRow, str]],
    again: Callable[[str], TokenRow],
) -> IssuedToken:
    """Issue a token once. A repeated request gets the token without its secret."""
    secrets: list[str] = []

    def make() -> TokenRow:
        token, secret = issue()
        secrets.append(secret)
        return token

    shown = IssuedToken.model_validate(once(tx, header, make, again))
    shown.secret = secrets[0] if secrets else None
    return shown
