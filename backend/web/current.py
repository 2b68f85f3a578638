"""What the current request works with: create_app sets it up, and these functions return it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from flask import current_app, g, request

from backend.errors import Unauthorised
from backend.people import tokens
from backend.principal import Principal
from backend.transactions import Caller, Installation, Transaction
from backend.web import clients

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


def _authenticate(here: Installation, secret: str) -> Principal:
    with here.database.reading() as db:
        found = tokens.authenticate(db, secret)
    if found.use_is_due:
        here.database.change(tokens.NOTE_USE, {"used": found.token_id})
    return found


def _secret() -> str:
    """The token: sent as a Bearer token, or as the password of Basic with any username."""
    given = request.authorization
    secret = None
    if given is not None and given.type == "bearer":
        secret = given.token
    elif given is not None and given.type == "basic":
        secret = given.password
    if not secret:
        raise Unauthorised(SAY_WHO)
    return secret
