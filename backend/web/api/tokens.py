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
        None, description="The only project it opens, by name or id; null: all that you see"
    )


class TokenFilter(Cursor):
    mine: bool = Field(default=False, description="Only your own, also for an administrator")


class Token(Answer):
    id: str
    name: str
    scopes: Annotated[list[str], BeforeValidator(_words)]
    project_id: str | None = Field(description="The only project it opens; null: all")
    user_id: str | None = Field(
        description="Whose it is: it may do what this user's roles allow; null: nobody's"
    )
    parent_id: str | None = Field(
        description="The token it was made with, and ends with; null: none, or a login"
    )
    is_session: bool = Field(description="Its user signed in with the password")
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class IssuedToken(Token):
    secret: str | None = Field(
        None, description="Shown this once; null when the request is a repetition"
    )


class Tokens(Page[Token]):
    pass


class Person(Answer):
    id: str
    name: str
    is_admin: bool = Field(description="Of the whole installation")


class WhoAmI(Answer):
    token_id: str
    name: str = Field(description="The user's, or else the token's")
    scopes: list[str]
    project_id: str | None = Field(description="The only project that is open; null: all")
    user: Person | None = Field(description="Whose token it is; null: nobody's")
    roles: dict[str, str] | None = Field(
        description="The user's role in each project; null: roles bound nothing here"
    )


@bp.get("/whoami", responses={200: WhoAmI})
def who_am_i() -> Response:
    """Whose token this is, and what it may do."""
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
    """Your own tokens; for administrators of the installation all."""
    find = tokens.find_own if query.mine else tokens.find_all
    with reading() as tx:
        found = find(tx, query.cursor, query.limit)
    return answer(Tokens.model_validate(found))


@bp.post("/tokens", responses={201: IssuedToken, **WITH_BODY})
def create_token(header: Repeatable, body: NewOwnToken) -> Response:
    """Issue a token of your own: it may do what your roles allow, and its scopes.

    What administrators of the installation issue with a token that is nobody's opens every
    project.
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
    """One of your tokens; for administrators of the installation any."""
    with reading() as tx:
        found = tokens.get(tx, path.token)
    return answer(Token.model_validate(found))


@bp.delete("/tokens/<token>", responses={204: None, **problems(409)})
def revoke_token(path: TokenPath) -> Response:
    """End a token now, and what was made with it: one of yours; for administrators any."""
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
    """Issue a token for this project alone."""
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
    """End a token of this project now, and what was made with it."""
    with transaction() as tx:
        tokens.revoke_of_project(tx, projects.named(tx, path.project), path.token)
    return Response(status=204)


def _once(
    tx: Transaction,
    header: Repeatable,
    issue: Callable[[], tuple[TokenRow, str]],
    again: Callable[[str], TokenRow],
) -> IssuedToken:
    """The secret is shown this once: a repetition of the request shows the token without it."""
    secrets: list[str] = []

    def make() -> TokenRow:
        token, secret = issue()
        secrets.append(secret)
        return token

    shown = IssuedToken.model_validate(once(tx, header, make, again))
    shown.secret = secrets[0] if secrets else None
    return shown
