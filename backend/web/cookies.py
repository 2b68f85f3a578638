"""The cookies of browsers, and the tokens of forms that belong to them.

`stateroom_session` has the secret of a session. `stateroom_visitor` has a random value before
somebody signs in, `stateroom_begun` what belongs to a sign-in at the OpenID provider. A form
carries a token that only who got the cookie together with the page can know, so that no other site
can send it.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime
from urllib.parse import quote, unquote

from flask import Request, Response

FORM_FIELD = "csrf"
FORM_HEADER = "X-CSRF-Token"
_LENGTH = 16  # bytes of a form's token, and of the mask over it
_NOTICE_SECONDS = 60
_LONGEST_NOTICE = 500


class Cookies:
    """Their names and attributes at an address. Behind https they have the prefix `__Host-`."""

    def __init__(self, url: str) -> None:
        self._is_secure = url.startswith("https://")
        prefix = "__Host-" if self._is_secure else ""
        self.session = f"{prefix}stateroom_session"
        self.visitor = f"{prefix}stateroom_visitor"
        self.begun = f"{prefix}stateroom_begun"  # a sign-in with the OpenID provider
        self.notice = f"{prefix}stateroom_notice"

    def put(self, response: Response, name: str, value: str, ends: datetime | int | None) -> None:
        """`ends`: a moment, a number of seconds, or None: with the browser."""
        response.set_cookie(
            name,
            value,
            expires=ends if isinstance(ends, datetime) else None,
            max_age=ends if isinstance(ends, int) else None,
            secure=self._is_secure,
            httponly=True,
            samesite="Lax",
            path="/",
        )

    def drop(self, response: Response, name: str) -> None:
        response.delete_cookie(
            name, secure=self._is_secure, httponly=True, samesite="Lax", path="/"
        )

    def key(self, request: Request) -> str:
        """What the tokens of forms are made from; empty for a browser without a cookie of ours."""
        return request.cookies.get(self.session) or request.cookies.get(self.visitor) or ""

    def say(self, response: Response, text: str) -> None:
        """Have the next page of this browser show a sentence."""
        self.put(response, self.notice, quote(text[:_LONGEST_NOTICE]), _NOTICE_SECONDS)

    def said(self, request: Request) -> str:
        return unquote(request.cookies.get(self.notice, ""))[:_LONGEST_NOTICE]


def new_visitor() -> str:
    return secrets.token_urlsafe(24)


def form_token(key: str) -> str:
    """A token for one rendering of a form: masked anew, so that compression tells nothing of it."""
    mask = secrets.token_bytes(_LENGTH)
    return (mask + _xor(mask, _plain(key))).hex()


def is_form_token(key: str, given: str) -> bool:
    try:
        sent = bytes.fromhex(given)
    except ValueError:
        return False
    if not key or len(sent) != 2 * _LENGTH:
        return False
    return hmac.compare_digest(_xor(sent[:_LENGTH], sent[_LENGTH:]), _plain(key))


def _plain(key: str) -> bytes:
    return hmac.digest(key.encode(), b"a form of Stateroom", "sha256")[:_LENGTH]


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
