"""Map errors to HTTP answers, with application/problem+json as body. Only this module does."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, request
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from backend import errors

PROBLEM = "application/problem+json"
log = structlog.get_logger()

STATUS: dict[type[errors.Error], int] = {
    errors.Unauthorised: 401,
    errors.Forbidden: 403,
    errors.Throttled: 429,
    errors.NotFound: 404,
    errors.Invalid: 422,
    errors.TooLarge: 413,
    errors.Conflict: 409,
    errors.Locked: 423,
    errors.Gone: 410,
    errors.Unavailable: 503,
    errors.Unreadable: 500,
}


def install(app: Flask) -> None:
    app.register_error_handler(errors.Error, lambda error: from_error(error, request.path))
    app.register_error_handler(HTTPException, from_http)
    for broken in (NoMoreData, ParseException):
        app.register_error_handler(broken, from_cut_body)
    app.register_error_handler(Exception, lambda bug: from_bug(bug, request.path))


def status_of(error: errors.Error) -> int:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def from_error(error: errors.Error, path: str) -> Response:
    status = status_of(error)
    if status >= 500:
        log.error("request_failed", code=error.code, path=path, reason=error.message)
    response = problem(status, error.code, error.message, **error.facts)
    if isinstance(error, errors.Unauthorised):
        response.headers["WWW-Authenticate"] = 'Basic realm="Stateroom"'
    if isinstance(error, errors.Unavailable):
        response.headers["Retry-After"] = "2"
    if isinstance(error, errors.Throttled):
        response.headers["Retry-After"] = str(error.seconds)
    if isinstance(error, errors.TooLarge):
        response.headers["Connection"] = "close"  # because the rest of the body is not read
    return response


def from_http(error: HTTPException) -> Response:
    status = error.code or 500
    code = error.name.lower().replace(" ", "-")  # Python's phrases change between versions
    response = problem(status, code, error.description or HTTPStatus(status).phrase)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def from_cut_body(_error: Exception) -> Response:
    return problem(400, "body-cut", "The body is incomplete: the connection broke. Send it again.")


def from_bug(error: Exception, path: str) -> Response:
    log.error("request_crashed", path=path, exc_info=error)
    return problem(500, "internal-error", "The server failed. Its log has the details.")


def problem(status: int, code: str, detail: str, **facts: Any) -> Response:
    """An RFC 9457 problem. `code` is stable; `detail` says what is wrong and what to do."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    } | facts
    return Response(json.dumps(body), status, content_type=PROBLEM)
