"""What the current request works with: create_app sets it up, and these functions return it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from flask import current_app, g, request

from backend.errors import Forbidden, Unauthorised
from backend.people import authentication
from backend.principal import Principal
from backend.transactions import Caller, Installation, Transaction
from backend.web import browsers, clients
from backend.web.cookies import FORM_FIELD, FORM_HEADER, Cookies, is_form_token

EXTENSION = "stateroom"
SAY_WHO = "A credential is needed: send a token as Bearer, or as the password of Basic."


def installation() -> Installation:
    found: Installation = current_app.extensions[EXTENSION]
    return found


def caller() -> Caller:
    """The principal of this request, with this installation. Raises Unauthorised."""
    return Caller(installation(), principal())


def transaction() -> AbstractContextManager[Transaction]:
    """A write transaction for the principal of this request."""
    return caller().transaction()


def reading() -> AbstractContextManager[Transaction]:
    """A transaction for reading only, for the principal of this request."""
    return caller().reading()


def client_address() -> str:
    """The address of the client, by which wrong passwords are counted."""
    return clients.address_of(request, installation().settings.trusted_networks)


def principal() -> Principal:
    """The principal of this request. Raises Unauthorised."""
    if "principal" not in g:
        g.principal = _authenticate(installation(), _secret())
    found: Principal = g.principal
    return found


def again() -> Callable[[], Caller]:
    """A function that authenticates the credential of this request anew, whenever it is called.

    It raises Unauthorised, and needs no request.
    """
    here, secret = installation(), _secret()
    return lambda: Caller(here, _authenticate(here, secret))


def cookies() -> Cookies:
    return Cookies(installation().settings.url)


def check_form() -> None:
    """Check that a form, or a script of our pages, sent this request. Raises Forbidden."""
    given = request.headers.get(FORM_HEADER) or request.form.get(FORM_FIELD, "")
    if not is_form_token(cookies().key(request), given):
        raise Forbidden(
            "This form is too old, or was not opened in this browser. Open the page again, and "
            "send it once more.",
            code="form-expired",
        )


def _authenticate(here: Installation, secret: str) -> Principal:
    with here.database.reading() as db:
        found = authentication.authenticate(db, secret)
    if found.use_is_due:
        here.database.change(authentication.NOTE_USE, {"used": found.token_id})
    return found


def _secret() -> str:
    """The token: sent as Bearer, as the password of Basic with any username, or as the cookie.

    The cookie is enough for reading. What writes needs the token of a form besides.
    """
    given = request.authorization
    secret = None
    if given is not None and given.type == "bearer":
        secret = given.token
    elif given is not None and given.type == "basic":
        secret = given.password
    elif given is None:
        secret = request.cookies.get(cookies().session)
        if secret and request.method not in browsers.READING:
            check_form()
    if not secret:
        raise Unauthorised(SAY_WHO)
    return secret
