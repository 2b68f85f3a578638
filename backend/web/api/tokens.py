from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from flask import Response
from pydantic import BeforeValidator, Field

from backend.catalogue import projects
from backend.models import Token as TokenRow
from backend.people import members, tokens, users
from backend.principal import ALIASES, SCOPES, Principal
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
    with reading() as db:
        user = None if who.user_id is None else users.oneself(db, who)
        roles = None if who.roles is None or user is None else members.roles_of(db, user.id)
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
    who = principal()
    if who.user_id is None and not query.mine:
        who.require_installation()
    find = tokens.find_own if query.mine else tokens.find_all
    with reading() as db:
        found = find(db, who, query.cursor, query.limit)
    return answer(Tokens.model_validate(found))


@bp.post("/tokens", responses={201: IssuedToken, **WITH_BODY})
def create_token(header: Repeatable, body: NewOwnToken) -> Response:
    """Issue a token of your own: it may do what your roles allow, and its scopes.

    What administrators of the installation issue with a token that is nobody's opens every
    project.
    """
    if principal().user_id is None:
        principal().require_installation()
    return _issue(_chosen(body.project), header, body)


@bp.get("/tokens/<token>", responses={200: Token})
def get_token(path: TokenPath) -> Response:
    """One of your tokens; for administrators of the installation any."""
    return _get(principal(), path.token)


@bp.delete("/tokens/<token>", responses={204: None, **problems(409)})
def revoke_token(path: TokenPath) -> Response:
    """End a token now, and what was made with it: one of yours; for administrators any."""
    return _revoke(principal(), path.token)


@bp.get("/projects/<project>/tokens", responses={200: Tokens})
def list_project_tokens(path: ProjectPath, query: Cursor) -> Response:
    """The tokens of a project."""
    return _list(_within(path.project), query)


@bp.post("/projects/<project>/tokens", responses={201: IssuedToken, **WITH_BODY})
def create_project_token(path: ProjectPath, header: Repeatable, body: NewToken) -> Response:
    """Issue a token for this project alone."""
    return _issue(_within(path.project).project_id, header, body)


@bp.get("/projects/<project>/tokens/<token>", responses={200: Token})
def get_project_token(path: ProjectTokenPath) -> Response:
    """One token of this project."""
    return _get(_within(path.project), path.token)


@bp.delete("/projects/<project>/tokens/<token>", responses={204: None, **problems(409)})
def revoke_project_token(path: ProjectTokenPath) -> Response:
    """End a token of this project now, and what was made with it."""
    return _revoke(_within(path.project), path.token)


def _within(reference: str) -> Principal:
    """The caller, an administrator, with eyes for this project only."""
    with reading() as db:
        project = projects.get(db, principal(), reference, "admin")
    return replace(principal(), project_id=project.id)


def _chosen(project: str | None) -> str | None:
    if project is None:
        return None
    with reading() as db:
        return projects.get(db, principal(), project, "runs:read").id


def _get(who: Principal, token_id: str) -> Response:
    with reading() as db:
        found = tokens.get(db, who, token_id)
    return answer(Token.model_validate(found))


def _list(who: Principal, query: Cursor) -> Response:
    with reading() as db:
        found = tokens.find_all(db, who, query.cursor, query.limit)
    return answer(Tokens.model_validate(found))


def _issue(project_id: str | None, header: Repeatable, body: NewToken) -> Response:
    secret: list[str] = []

    def make() -> TokenRow:
        token, shown_once = tokens.issue(
            db, principal(), body.name, body.scopes,
            project_id=project_id, expires_at=body.expiry(),
        )  # fmt: skip
        secret.append(shown_once)
        return token

    with transaction() as db:
        token = once(db, header, make, lambda made: tokens.get(db, principal(), made))
    issued = IssuedToken.model_validate(token)
    issued.secret = secret[0] if secret else None
    return answer(issued, 201)


def _revoke(who: Principal, token_id: str) -> Response:
    with transaction() as db:
        tokens.revoke(db, who, token_id)
    return Response(status=204)
