from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from flask import Response, request
from flask_openapi3.models.tag import Tag
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator
from werkzeug.exceptions import UnsupportedMediaType

from backend.errors import Invalid
from backend.models import Token
from backend.people import logins
from backend.people.passwords import MAX_LENGTH
from backend.web.api.answers import Answer, answer, problems
from backend.web.api.part import Part
from backend.web.current import client_address, installation

log = structlog.get_logger()

bp = Part(
    "api-login",
    __name__,
    url_prefix="/api",
    abp_tags=[Tag(name="login", description="Exchange a secret or password for a token")],
    abp_security=[],
    abp_responses=problems(401, 403, 413, 415, 422, 429, 503),
)

FORM = "application/x-www-form-urlencoded"
LARGEST_LOGIN = 16 * 1024  # bytes of a body, which anybody may send
Typed = Field(None, max_length=MAX_LENGTH)


class Login(BaseModel):
    """The id and secret of a token, or the name and password of a person. As JSON, or as a form."""

    model_config = ConfigDict(
        extra="ignore",  # OAuth 2 requires to ignore unknown fields
        strict=True,
        openapi_extra={  # type: ignore[typeddict-unknown-key]  # flask-openapi3 reads it
            "description": f"As JSON, or the same fields as a form ({FORM})",
            "required": False,
        },
    )

    grant_type: Literal["client_credentials", "password"] | None = Field(
        None, description="As in OAuth 2; the default fits the other fields"
    )
    client_id: str | None = Field(
        None,
        max_length=MAX_LENGTH,
        validation_alias=AliasChoices("client_id", "clientId"),
        description="The id of a token. It and the secret may be sent as HTTP Basic instead",
    )
    client_secret: str | None = Field(
        None,
        max_length=MAX_LENGTH,
        validation_alias=AliasChoices("client_secret", "clientSecret"),
    )
    username: str | None = Typed
    password: str | None = Typed
    scope: str | None = Field(
        None, max_length=1000, description="A part of the token's scopes, separated by spaces"
    )

    @model_validator(mode="before")
    @classmethod
    def _sent(cls, body: Any) -> Any:
        """Merge what was sent as a form or as HTTP Basic, and drop empty fields."""
        given = request.form.to_dict() if request.mimetype == FORM else body
        if given is None and not request.get_data():
            given = {}
        if not isinstance(given, dict):
            return given
        return {**_basic(), **{name: value for name, value in given.items() if value != ""}}

    def is_person(self) -> bool:
        """Whether a person logs in. Raises Invalid unless the fields fit exactly one kind."""
        person, client = (self.username, self.password), (self.client_id, self.client_secret)
        wanted = self.grant_type or ("password" if person != (None, None) else "client_credentials")
        if None in (person if wanted == "password" else client):
            raise Invalid(
                "Send client_id and client_secret, or username and password.", code="login-invalid"
            )
        return wanted == "password"


class Issued(Answer):
    access_token: str = Field(description="Send it as a Bearer token")
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 no secret, but what RFC 6750 calls it
    expires_in: int = Field(description="Seconds")
    scope: str = Field(description="The scopes, separated by spaces")


def _basic() -> dict[str, str]:
    given = request.authorization
    if given is None or given.type != "basic":
        return {}
    return {"client_id": given.username or "", "client_secret": given.password or ""}


@bp.before_request
def _check_body() -> None:
    request.max_content_length = LARGEST_LOGIN
    if request.get_data() and not (request.is_json or request.mimetype == FORM):
        raise UnsupportedMediaType(f"Send the body as JSON, or as {FORM}.")
    try:
        request.get_json(silent=True)
    except RecursionError:
        raise Invalid("The body is nested too deeply.", code="body-not-json") from None


@bp.post("/login", responses={200: Issued})
def log_in(body: Login) -> Response:
    """Exchange a token's id and secret, or a name and password, for a token that soon expires."""
    return _log_in(body)


@bp.post("/v1/login", responses={200: Issued})
def log_in_v1(body: Login) -> Response:
    """The same as `/api/login`."""
    return _log_in(body)


def _log_in(body: Login) -> Response:
    try:
        token, secret = _as_person(body) if body.is_person() else _as_client(body)
    except logins.LoginRefused as refused:
        _note(refused)
        raise
    return answer(_issued(token, secret))


def _as_person(body: Login) -> tuple[Token, str]:
    name, password = body.username or "", body.password or ""
    return logins.sign_in(installation(), name, password, client_address())


def _as_client(body: Login) -> tuple[Token, str]:
    scopes = None if body.scope is None else body.scope.split()
    return logins.exchange(installation(), body.client_id or "", body.client_secret or "", scopes)


def _note(refused: logins.LoginRefused) -> None:
    log.warning("login_refused", thing=refused.thing)
    logins.note_refused(installation(), refused)


def _issued(token: Token, secret: str) -> Issued:
    ends = token.expires_at or datetime.now(UTC)  # a login's token always has an end
    seconds = math.floor((ends - datetime.now(UTC)).total_seconds())
    return Issued(access_token=secret, expires_in=max(0, seconds), scope=token.scopes)
