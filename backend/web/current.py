"""What the request at hand works with: set up once by create_app, reached by name here."""

from __future__ import annotations

from contextlib import AbstractContextManager

from flask import current_app, g, request

from backend.errors import Unauthorised
from backend.people import tokens
from backend.people.passwords import Throttle
from backend.principal import Principal
from backend.transactions import Caller, Installation, Transaction

EXTENSION = "stateroom"
SAY_WHO = "Say who you are: send a token as Bearer, or as the password of Basic."


def installation() -> Installation:
    found: Installation = current_app.extensions[EXTENSION]
    return found


def caller() -> Caller:
    """Who sent this request, at this installation. Raises Unauthorised."""
    return Caller(installation(), principal())


def transaction() -> AbstractContextManager[Transaction]:
    """A write transaction of who sent this request."""
    return caller().transaction()


def reading() -> AbstractContextManager[Transaction]:
    """For reading only, for who sent this request."""
    return caller().reading()


def throttle() -> Throttle:
    """Who guessed how often, in this process."""
    found: Throttle = current_app.extensions.setdefault(f"{EXTENSION}-throttle", Throttle())
    return found


def noted_refusals() -> Throttle:
    """How many refused logins were written into the audit log lately: 100 a minute are enough."""
    name = f"{EXTENSION}-noted-refusals"
    found: Throttle = current_app.extensions.setdefault(name, Throttle(free=100, every=0.6))
    return found


def principal() -> Principal:
    """Who sent this request. Raises Unauthorised."""
    if "principal" not in g:
        g.principal = _authenticate(_secret())
    found: Principal = g.principal
    return found


def _authenticate(secret: str) -> Principal:
    here = installation()
    with here.database.reading() as db:
        found = tokens.authenticate(db, secret)
    if found.use_is_due:
        with here.database.express() as bare:
            bare.change(tokens.NOTE_USE, {"used": found.token_id})
    return found


def _secret() -> str:
    """A token works as a Bearer token and as the password of Basic, whatever the username."""
    given = request.authorization
    secret = None
    if given is not None and given.type == "bearer":
        secret = given.token
    elif given is not None and given.type == "basic":
        secret = given.password
    if not secret:
        raise Unauthorised(SAY_WHO)
    return secret
