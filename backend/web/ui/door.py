"""The door of the pages: who may come in, the tokens of forms, and the headers of every page."""

from __future__ import annotations

import io
from typing import IO, Any
from urllib.parse import urlencode

from flask import Blueprint, Flask, Request, Response, g, make_response, redirect, request
from flask.typing import ResponseReturnValue

from backend.errors import NotFound, Unauthorised
from backend.web import browsers, cookies
from backend.web.compression import compressed
from backend.web.current import check_form, installation, principal
from backend.web.current import cookies as own_cookies
from backend.web.ui import forms

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Vary": "Cookie, Accept, Accept-Encoding",
}
SIGN_IN = "/sign-in"


def pages(noun: str) -> Blueprint:
    """The pages of a noun. They ask who has not signed in to do so, and forms for their token."""
    bp = Blueprint(f"ui-{noun}", __name__, template_folder="templates")
    bp.before_request(_let_in)
    return bp


def open_pages(noun: str) -> Blueprint:
    """Pages for everybody. Their forms have tokens too."""
    bp = Blueprint(f"ui-{noun}", __name__, template_folder="templates")
    bp.before_request(_let_in_anybody)
    return bp


class _Request(Request):
    """A request whose files stay in memory: a state must not get to the disk in clear."""

    def _get_file_stream(self, *_: Any, **__: Any) -> IO[bytes]:
        return io.BytesIO()


def install(app: Flask) -> None:
    app.request_class = _Request
    app.after_request(_finish)
    app.jinja_env.globals["form_token"] = lambda: cookies.form_token(_key())
    app.jinja_env.globals["notice"] = _notice


def say(text: str) -> None:
    """Have the next page of this browser begin with a sentence about what was done."""
    g.said = text


def in_place(html: str) -> Response:
    """Answer a form with a page of its own, such as one with a secret that is shown once.

    htmx puts it in the place of the page with the form; a refusal stays in the form, as usual.
    """
    response = make_response(html)
    response.headers["HX-Retarget"] = response.headers["HX-Reselect"] = "#main"
    response.headers["HX-Reswap"] = "outerHTML show:window:top"
    return response


def _let_in() -> ResponseReturnValue | None:
    _check_request()
    try:
        found = principal()
    except Unauthorised:
        return _to_sign_in()
    if not found.is_session or request.authorization is not None:
        raise Unauthorised("Pages are for people who sign in. Programs use the API under /api/v1.")
    return None


def _let_in_anybody() -> None:
    _check_request()
    if request.method not in browsers.READING:
        check_form()


def _check_request() -> None:
    request.max_form_memory_size = request.max_content_length = forms.MAX_FORM_BYTES
    browsers.refuse_writes_of_other_sites(request, installation().settings.url)
    if "\0" in request.path or b"%00" in request.query_string:
        raise NotFound("There is nothing at this address.")


def _to_sign_in() -> ResponseReturnValue:
    """To the sign-in page and back. What was to be written is not: the page is opened again."""
    back = request.full_path.rstrip("?") if request.method in browsers.READING else "/"
    where = f"{SIGN_IN}?{urlencode({'next': back})}" if back != "/" else SIGN_IN
    if "HX-Request" in request.headers:
        return Response(status=200, headers={"HX-Redirect": where, "Cache-Control": "no-store"})
    return redirect(where, 303)


def _key() -> str:
    """What the tokens of forms on this page are made from. A visitor without a cookie gets one."""
    found = g.get("new_key") or own_cookies().key(request)
    if not found:
        found = g.new_key = g.visitor = cookies.new_visitor()
    return str(found)


def _notice() -> str:
    found = own_cookies().said(request)
    g.is_noticed = bool(found)
    return found


def _finish(response: Response) -> Response:
    """Add the headers and cookies of pages. A form that htmx sent is told where to go on."""
    if response.mimetype == "text/html":
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
    if request.blueprint is None or not request.blueprint.startswith("ui-"):
        return response
    jar = own_cookies()
    if "visitor" in g:
        jar.put(response, jar.visitor, g.visitor, None)
    if "said" in g:
        jar.say(response, g.said)
    elif g.get("is_noticed"):
        jar.drop(response, jar.notice)
    if "HX-Request" in request.headers and response.status_code in {302, 303}:
        response.headers["HX-Redirect"] = response.headers.pop("Location")
        response.status_code, response.data = 200, b""
    return compressed(response) if response.mimetype == "text/html" else response
