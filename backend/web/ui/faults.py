"""Problems as pages, for browsers: by `Accept`, as programs get them as problem+json."""

from __future__ import annotations

from flask import Flask, Response, render_template, request

from backend.web.problems import PROBLEM

KINDS = [PROBLEM, "application/json", "text/html"]


def install(app: Flask) -> None:
    app.after_request(_as_page)


def _as_page(response: Response) -> Response:
    """The problem as a page, or as the part of one that htmx asked for."""
    if response.mimetype != PROBLEM or not wants_page():
        return response
    problem = response.get_json(silent=True)
    if not isinstance(problem, dict):
        return response
    name = "faults/part.html" if "HX-Request" in request.headers else "faults/page.html"
    response.set_data(render_template(name, problem=problem))
    response.content_type = "text/html; charset=utf-8"
    # otherwise a browser asks for a name and password in a window of its own
    response.headers.pop("WWW-Authenticate", None)
    return response


def wants_page() -> bool:
    """Whether a browser asks, and not a program. htmx accepts anything."""
    return (
        "HX-Request" in request.headers or request.accept_mimetypes.best_match(KINDS) == "text/html"
    )
