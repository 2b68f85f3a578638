"""Forms that make something: sent twice, they make it once."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable

from flask import request

from backend import idempotency
from backend.idempotency import Thing
from backend.transactions import Transaction
from backend.web.cookies import FORM_FIELD

FIELD = "once"


def new() -> str:
    """What the hidden field of a form has, that is made anew each time it is shown."""
    return secrets.token_hex(16)


def once(tx: Transaction, make: Callable[[], Thing], again: Callable[[str], Thing]) -> Thing:
    """The result of `make`, or what the same form has made when it was sent before.

    A form that was changed meanwhile is another one.
    """
    if not request.form.get(FIELD):
        return make()
    given = [
        (name, request.form.getlist(name)) for name in sorted(request.form) if name != FORM_FIELD
    ]
    key = hashlib.sha256(json.dumps([request.path, given]).encode()).hexdigest()
    return idempotency.once(tx, key=f"form {key}", fingerprint=key, make=make, again=again)
