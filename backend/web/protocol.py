"""The HTTP state protocol of terraform and tofu. It never answers with a redirect.

It is a WSGI application in front of Flask, which would make every apply slower.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from flask import Flask
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Request, Response

from backend import errors
from backend.people import authentication
from backend.states import arrivals, serving
from backend.states.arrivals import Address, Arrival, Credential
from backend.states.locks import MAX_INFO_BYTES, LockInfo
from backend.transactions import Installation
from backend.web import browsers, clients, documents, problems
from backend.web.current import SAY_WHO, principal
from backend.web.metrics import Count

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PREFIX = "/api/terraform/"

Verb = Callable[[Request, Arrival], Response]
Route = tuple[Address, Mapping[str, Verb]]  # of a state, and what may be done there


def install(app: Flask, here: Installation, count: Count | None) -> None:
    """Answer everything below PREFIX here, and explain addresses that look mistyped."""
    app.wsgi_app = Protocol(here, app.wsgi_app, count)  # type: ignore[method-assign,assignment]  # as Flask documents it
    app.register_error_handler(404, _mistyped)


class Protocol:
    """Answers requests to the addresses of states. `otherwise` answers all others."""

    def __init__(
        self, here: Installation, otherwise: WSGIApplication, count: Count | None = None
    ) -> None:
        self._here, self._otherwise, self._count = here, otherwise, count

    def __call__(self, environ: WSGIEnvironment, start: StartResponse, /) -> Iterable[bytes]:
        if not environ.get("PATH_INFO", "").startswith(PREFIX):
            return self._otherwise(environ, start)
        request = Request(environ)
        route = _route(request.path)
        response = self._respond(request, route)
        if self._count is not None:
            self._count(_template(route), request.method, response.status_code)
        return response(environ, start)

    def _respond(self, request: Request, route: Route | None) -> Response:
        try:
            return self._answer(request, route)
        except errors.Error as error:
            return _problem(error, request)
        except HTTPException as error:
            return problems.from_http(error)
        except (NoMoreData, ParseException) as cut:
            return problems.from_cut_body(cut)
        except Exception as bug:  # noqa: BLE001 logged with its traceback
            return problems.from_bug(bug, request.path)

    def _answer(self, request: Request, route: Route | None) -> Response:
        browsers.refuse(request)
        if route is None:
            return self._unknown(request)
        address, verbs = route
        verb = verbs.get(request.method)
        if verb is None:
            raise MethodNotAllowed(valid_methods=[*verbs])
        if verb in WITH_BODY:
            browsers.demand_json(request)
        given = self._credential(request)
        arrival = arrivals.arrive(self._here, address, given, with_body=verb is _read)
        return verb(request, arrival)

    def _credential(self, request: Request) -> Credential:
        """The credential of the request. Raises Unauthorised when there is none."""
        given = request.authorization
        if given is not None and given.type == "bearer" and given.token:
            return Credential(given.token)
        if given is not None and given.type == "basic":
            address = clients.address_of(request, self._here.settings.trusted_networks)
            return Credential(given.password or "", given.username or "", address)
        raise errors.Unauthorised(SAY_WHO)

    def _unknown(self, request: Request) -> Response:
        with self._here.database.reading() as db:
            authentication.authenticate(db, self._credential(request).secret)
        return _no_such_address()


def _route(path: str) -> Route | None:
    """The state that a path addresses and the methods allowed there, or None for other paths."""
    parts = path.removeprefix(PREFIX).removesuffix("/").split("/")
    if not all(parts):
        return None
    match parts:
        case [alias] | [alias, "lock"] if alias != "state" or len(parts) == 1:
            address = Address(alias=alias)
        case ["state", project] | ["state", project, "lock"]:
            address = Address(project=project)
        case ["state", project, workspace] | ["state", project, workspace, "lock"]:
            address = Address(project=project, workspace=workspace)
        case _:
            return None
    is_lock = parts[-1] == "lock" and parts not in (["lock"], ["state", "lock"])
    return address, LOCK_VERBS if is_lock else VERBS


def _template(route: Route | None) -> str:
    """What an address looks like, for a count of requests: as the API's routes are written."""
    if route is None:
        return PREFIX + "<unknown>"
    address, verbs = route
    if address.alias is not None:
        named = "<alias>"
    else:
        named = "state/<project>" + ("/<workspace>" if address.workspace is not None else "")
    return f"{PREFIX}{named}{'/lock' if verbs is LOCK_VERBS else ''}"


def _read(request: Request, arrival: Arrival) -> Response:
    _refuse_redirected_write(request)
    body = serving.read(arrival)
    if body is None:
        return problems.problem(404, "never-written", "This state was never written.")
    return documents.respond(arrival.row, body)


def _write(request: Request, arrival: Arrival) -> Response:
    serving.write(arrival, documents.incoming(request), request.args.get("ID") or None)
    return Response(status=200)


def _delete(_request: Request, arrival: Arrival) -> Response:
    serving.delete(arrival)
    return Response(status=200)


def _lock(request: Request, arrival: Arrival) -> Response:
    serving.lock(arrival, LockInfo.parse(_lock_body(request)))
    return Response(status=200)


def _unlock(request: Request, arrival: Arrival) -> Response:
    """Terraform's force-unlock is an UNLOCK without a body: it does not send the ID."""
    body = _lock_body(request)
    if body:
        serving.unlock(arrival, LockInfo.parse(body))
    else:
        serving.force_unlock(arrival)
    return Response(status=200)


VERBS: Mapping[str, Verb] = {
    "GET": _read,
    "HEAD": _read,
    "POST": _write,
    "PUT": _write,
    "DELETE": _delete,
    "LOCK": _lock,
    "UNLOCK": _unlock,
}
# on …/lock also as GitLab has it: POST or PUT locks, DELETE unlocks
LOCK_VERBS: Mapping[str, Verb] = {
    "POST": _lock,
    "PUT": _lock,
    "LOCK": _lock,
    "DELETE": _unlock,
    "UNLOCK": _unlock,
}


WITH_BODY: tuple[Verb, ...] = (_write, _lock)  # always; an UNLOCK may have none


def _lock_body(request: Request) -> bytes:
    body = request.stream.read(MAX_INFO_BYTES + 1)
    if len(body) > MAX_INFO_BYTES:
        raise errors.TooLarge(MAX_INFO_BYTES)
    if body:
        browsers.demand_json(request)
    expected = documents.content_md5(request)
    if expected not in {None, hashlib.md5(body, usedforsecurity=False).digest()}:
        raise errors.Invalid("The body was changed on the way.", code="md5-mismatch")
    return body


def _refuse_redirected_write(request: Request) -> None:
    """Refuse a GET that a proxy made of a write: terraform would take a 200 for "saved"."""
    written = "Content-MD5" in request.headers or "ID" in request.args or request.is_json
    if written:
        raise errors.Invalid(
            "A proxy redirected a write, and it became this GET: let it pass writes on unchanged.",
            code="redirected-write",
        )


def _problem(error: errors.Error, request: Request) -> Response:
    if isinstance(error, errors.NotFound):
        # never 404: terraform would take it for "no state yet" and plan to create everything
        return problems.problem(403, "forbidden", error.message)
    if isinstance(error, errors.Locked):
        # the body is the LockInfo of the holder, because clients show nothing else
        return Response(json.dumps(error.holder), 423, content_type="application/json")
    if isinstance(error, errors.Invalid) and not isinstance(error, errors.TooLarge):
        return problems.problem(400, error.code, error.message, **error.facts)
    return problems.from_error(error, request.path)


def _mistyped(error: HTTPException) -> Response:
    """Answer 403, not 404, at an unknown address that was probably meant to be one of a state."""
    from flask import request  # noqa: PLC0415 only requests that Flask handles come here

    if "terraform" not in request.path.split("/"):
        return problems.from_http(error)
    try:
        principal()
    except errors.Unauthorised as stranger:
        return problems.from_error(stranger, request.path)
    return _no_such_address()


def _no_such_address() -> Response:
    return problems.problem(403, "forbidden", "There is no state at this address: is it mistyped?")
