from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from flask import Response
from pydantic import BeforeValidator, Field

from backend import projects, tokens
from backend.models import Token as TokenRow
from backend.principal import ALIASES, SCOPES, Principal
from backend.web.api.answers import (
    WITH_BODY,
    Answer,
    Cursor,
    Page,
    ProjectPath,
    Repeatable,
    answer,
    blueprint,
    once,
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
    name: str = Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")
    scopes: list[str] = Field(
        min_length=1, max_length=40, description=", ".join((*SCOPES, *ALIASES))
    )


class Token(Answer):
    id: str
    name: str
    scopes: Annotated[list[str], BeforeValidator(_words)]
    project_id: str | None = Field(description="The only project it opens; null: all")
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


class WhoAmI(Answer):
    token_id: str
    name: str
    scopes: list[str]
    project_id: str | None = Field(description="The only project that is open; null: all")


@bp.get("/whoami", responses={200: WhoAmI})
def who_am_i() -> Response:
    """Whose token this is, and what it may do."""
    who = principal()
    return answer(
        WhoAmI(
            token_id=who.token_id,
            name=who.name,
            scopes=sorted(who.scopes),
            project_id=who.project_id,
        )
    )


@bp.get("/tokens", responses={200: Tokens})
def list_tokens(query: Cursor) -> Response:
    """All tokens: for administrators of the installation."""
    principal().require_installation()
    return _list(principal(), query)


@bp.post("/tokens", responses={201: IssuedToken, **WITH_BODY})
def create_token(header: Repeatable, body: NewToken) -> Response:
    """Issue a token for every project: for administrators of the installation."""
    principal().require_installation()
    return _issue(None, header, body)


@bp.delete("/tokens/<token>", responses={204: None})
def revoke_token(path: TokenPath) -> Response:
    """End a token now."""
    principal().require_installation()
    return _revoke(principal(), path.token)


@bp.get("/projects/<project>/tokens", responses={200: Tokens})
def list_project_tokens(path: ProjectPath, query: Cursor) -> Response:
    """The tokens of a project."""
    return _list(_within(path.project), query)


@bp.post("/projects/<project>/tokens", responses={201: IssuedToken, **WITH_BODY})
def create_project_token(path: ProjectPath, header: Repeatable, body: NewToken) -> Response:
    """Issue a token for this project alone."""
    return _issue(_within(path.project).project_id, header, body)


@bp.delete("/projects/<project>/tokens/<token>", responses={204: None})
def revoke_project_token(path: ProjectTokenPath) -> Response:
    """End a token of this project now."""
    return _revoke(_within(path.project), path.token)


def _within(reference: str) -> Principal:
    """The caller, an administrator, with eyes for this project only."""
    with reading() as db:
        project = projects.get(db, principal(), reference, "admin")
    return replace(principal(), project_id=project.id)


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
