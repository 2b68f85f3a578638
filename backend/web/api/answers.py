"""What all parts of the API share: authentication, pages, problems, and repeated requests."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Collection, Iterable
from typing import Annotated, Any, Generic, TypeVar

from flask import Response, request
from flask_openapi3.models.tag import Tag
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from werkzeug.exceptions import UnsupportedMediaType

from backend import idempotency, names, paging
from backend.errors import Forbidden, Invalid, NotFound
from backend.transactions import Transaction
from backend.web import browsers
from backend.web.api.part import Part
from backend.web.current import installation, principal
from backend.web.problems import problem

PREFIX = "/api/v1"
WORKSPACE = "/projects/<project>/workspaces/<workspace>"
MAX_BODY_BYTES = 1_000_000
MAX_VALUES = 10_000  # in a body; checking each takes time, in which nobody else is answered
MAX_FIELD_NAME = 100  # letters of it in an answer
MAX_FIELD_ERRORS = 20  # that an answer tells; the others are counted
SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token."},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "A token as the password, with any username.",
    },
}

Name = Annotated[
    str,
    StringConstraints(max_length=names.MAX_LENGTH),
    # for the documentation only: the operation checks it, and its error explains the rule
    Field(description=names.RULE, json_schema_extra={"minLength": 1, "pattern": names.PATTERN}),
]
Reference = Annotated[str, Field(min_length=1, max_length=64, description="A name or an id")]
Text = Annotated[str, Field(max_length=65_536, pattern=r"^[^\x00]*$")]
Thing = TypeVar("Thing", bound=idempotency.Made)
Item = TypeVar("Item")
Shown = TypeVar("Shown", bound=BaseModel)


class Body(BaseModel):
    """The body of a request. An unknown field is an error, so that no typo is ignored silently."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    def given(self) -> dict[str, Any]:
        """The fields that were sent."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class OptionalBody(Body):
    """The body of a request that may come without one."""

    @model_validator(mode="before")
    @classmethod
    def _or_nothing(cls, given: Any) -> Any:
        return {} if given is None else given


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True, defer_build=True)


class Query(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Cursor(Query):
    cursor: str | None = Field(
        None,
        pattern=r"^[0-9a-z_]{1,40}$",
        description="`next_cursor` of the previous page; empty for the first page. Where it is an "
        "id, its beginning is enough: the page has what comes after it in the order of the list",
    )
    limit: int = Field(
        paging.DEFAULT_LIMIT, ge=1, le=paging.MAX_LIMIT, description="Items on a page"
    )


class Page(Answer, Generic[Item]):
    items: list[Item]
    next_cursor: str | None = Field(description="The cursor of the next page; null on the last one")


class Repeatable(BaseModel):
    """Headers of a POST."""

    idempotency_key: str | None = Field(
        None,
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Any text. Repeating a request with the same key creates nothing new.",
    )


class ProjectPath(BaseModel):
    project: str = Field(description="The project's name or id")


class WorkspacePath(ProjectPath):
    workspace: str = Field(description="The workspace's name or id")


class Named(Answer):
    id: str
    name: str


class Fault(Answer):
    code: str = Field(description="Stable, for programs: `unreadable` or `unknown-key`")
    detail: str = Field(description="For people")


class Sealed(Answer):
    """Something of which a part is sealed. One that does not open is shown too, with its fault."""

    fault: Fault | None = Field(
        description="Why what is sealed of it does not open; null when it does"
    )


class FieldError(Answer):
    field: str = Field(description="Where it is, for example `body.workspace.name`")
    message: str


class Problem(Answer):
    """A problem as in RFC 9457: what is wrong, and what to do."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str = Field(description="Stable, for programs")
    detail: str = Field(description="For people: what is wrong, and what to do")
    errors: list[FieldError] | None = Field(
        default=None, description="The fields that are wrong, if known"
    )


def blueprint(noun: str, about: str, *, streaming: Collection[str] = ()) -> Part:
    """A part of the API. It refuses requests without a token, and with the credential of a run.

    The operations in `streaming` read the bodies of their requests themselves, as they arrive.
    """
    bp = Part(
        f"api-{noun}",
        __name__,
        url_prefix=PREFIX,
        abp_tags=[Tag(name=noun, description=about)],
        abp_security=[{"bearer": []}, {"basic": []}],
        abp_responses=problems(401, 403, 404, 422, 503),
    )

    def check_body() -> None:
        if (request.endpoint or "").rpartition(".")[2] not in streaming:
            _check_body()

    bp.before_request(_let_in)
    bp.before_request(check_body)
    return bp


def problems(*statuses: int) -> dict[Any, Any]:
    """These statuses, for the documentation of a route, as problems."""
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {"application/problem+json": {"schema": schema}}
    return {status: {"content": content} for status in statuses}


WITH_BODY = problems(413, 415)


def answer(model: BaseModel, status: int = 200) -> Response:
    return encoded(model.model_dump_json(), status)


def encoded(body: str | bytes, status: int = 200) -> Response:
    """An answer that is JSON already."""
    response = Response(body, status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def with_fault(model: type[Shown], row: object, fault: object, **more: object) -> Shown:
    """The attributes of a row as an answer, with why it does not open, if so."""
    fields = model.model_fields.keys() - {"fault"} - more.keys()
    facts = {name: getattr(row, name) for name in fields}
    return model.model_validate(facts | more | {"fault": fault})


def once(
    tx: Transaction,
    header: Repeatable,
    make: Callable[[], Thing],
    again: Callable[[str], Thing],
) -> Thing:
    """The result of `make`, or for a repeated request what the first one made."""
    if header.idempotency_key is None:
        return make()
    return idempotency.once(
        tx,
        key=header.idempotency_key,
        fingerprint=_fingerprint(),
        make=make,
        again=again,
    )


def invalid_request(error: ValidationError) -> Response:
    """422 with the fields that are wrong, but not their values, which may be secret."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    wrong = [
        {"field": _named(one["loc"]) or "body", "message": one["msg"]}
        for one in found[:MAX_FIELD_ERRORS]
    ]
    said = "; ".join(f"{field['field']}: {field['message']}" for field in wrong)
    more = f"; and {len(found) - len(wrong):,} more" if len(found) > len(wrong) else ""
    return problem(422, "invalid-request", f"The request is wrong: {said}{more}.", errors=wrong)


def _named(place: Iterable[str | int]) -> str:
    """The name of a field. A client may have made it up, as long as its body may be."""
    return ".".join(str(part)[:MAX_FIELD_NAME] for part in place)


def _let_in() -> None:
    browsers.refuse_writes_of_other_sites(request, installation().settings.url)
    if principal().run_id is not None:
        raise Forbidden("The credential of a run opens only its state.", code="run-token")
    if "\0" in request.path:
        raise NotFound("There is nothing at this address.")


def _check_body() -> None:
    """Check that the body is a JSON object."""
    request.max_content_length = MAX_BODY_BYTES
    if request.method in {"GET", "HEAD", "OPTIONS"} or not request.get_data():
        return
    if not request.is_json:
        raise UnsupportedMediaType("Send the body as JSON, with Content-Type: application/json.")
    try:
        body = json.loads(request.get_data())
    except (ValueError, RecursionError) as error:
        raise Invalid(f"The body is not JSON: {error}.", code="body-not-json") from None
    if not isinstance(body, dict):
        raise Invalid("The body must be a JSON object: { … }.", code="body-not-an-object")
    _check_values(body)


def _check_values(body: dict[str, Any]) -> None:
    count = 0
    unseen: list[Any] = [body]
    while unseen:
        container = unseen.pop()
        count += len(container)
        if count > MAX_VALUES:
            raise Invalid(
                f"The body has more than {MAX_VALUES:,} values. Send fewer of them.",
                code="body-too-many-values",
                limit=MAX_VALUES,
            )
        inside = container.values() if isinstance(container, dict) else container
        unseen += [value for value in inside if isinstance(value, dict | list)]


def _fingerprint() -> str:
    """A fingerprint of this request, keyed with the caller's secret, as it may have a password."""
    given = request.authorization
    secret = "" if given is None else given.token or given.password or ""
    body = json.dumps(request.get_json(silent=True), sort_keys=True)
    said = f"{request.method} {request.path}\n{body}"
    return hmac.new(secret.encode(), said.encode(), hashlib.sha256).hexdigest()
