"""What the request at hand works with: set up once by create_app, reached by name here."""

from __future__ import annotations

from contextlib import AbstractContextManager

from flask import current_app, g, request
from sqlalchemy.orm import Session

from backend.errors import Unauthorised
from backend.people import tokens
from backend.people.passwords import Throttle
from backend.principal import Principal
from backend.states import aliases
from backend.upkeep.installation import Installation

EXTENSION = "stateroom"


def installation() -> Installation:
    found: Installation = current_app.extensions[EXTENSION]
    return found


def transaction() -> AbstractContextManager[Session]:
    return installation().database.transaction()


def reading() -> AbstractContextManager[Session]:
    return installation().database.reading()


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


def log_in(alias: str) -> None:
    """Let the login of an alias in, at its address alone. Raises Unauthorised.

    Other credentials are left to `principal`: a token opens the address of an alias too.
    """
    given = request.authorization
    if given is None or given.type != "basic" or tokens.looks_like_one(given.password or ""):
        return
    username, password = given.username or "", given.password or ""
    with reading() as db:
        found = aliases.authenticate(db, installation().keyring, alias, username, password)
    if found.use_is_due:
        with transaction() as db:
            aliases.note_use(db, found.token_id)
    g.principal = found


def _authenticate(secret: str) -> Principal:
    with reading() as db:
        found = tokens.authenticate(db, secret)
    if found.use_is_due:
        with transaction() as db:
            tokens.note_use(db, found.token_id)
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
        raise Unauthorised("Say who you are: send a token as Bearer, or as the password of Basic.")
    return secret
