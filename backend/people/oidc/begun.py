"""A sign-in that was begun: what the browser keeps of it, in a cookie, until it comes back.

All that the provider is told (state, nonce, the challenge) is made from one secret of the cookie,
so that only the browser that began the sign-in can finish it.
"""

from __future__ import annotations

import hmac
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from backend.people.logins import LoginRefused
from backend.transactions import Installation

BACK = "/sign-in/oidc/back"  # where the provider sends people to
LIFE_SECONDS = 600
_LONGEST_PAGE = 1500


@dataclass(frozen=True)
class Begun:
    """`page` is where to go on after it."""

    secret: str
    ends: int
    page: str

    @property
    def state(self) -> str:
        return self._made("state")

    @property
    def nonce(self) -> str:
        return self._made("nonce")

    @property
    def verifier(self) -> str:
        return self._made("verifier")

    def _made(self, what: str) -> str:
        return _text(hmac.digest(self.secret.encode(), what.encode(), "sha256"))


def new(page: str) -> Begun:
    ends = int(time.time()) + LIFE_SECONDS
    return Begun(secrets.token_urlsafe(32), ends, page if len(page) <= _LONGEST_PAGE else "/")


def packed(here: Installation, begun: Begun) -> str:
    """What the cookie has."""
    text = f"{begun.ends}.{begun.secret}.{_text(begun.page.encode())}"
    return f"{text}.{_seal(here, text)}"


def unpacked(here: Installation, cookie: str, state: str) -> Begun:
    """The sign-in that this browser began, and the provider answers. Raises LoginRefused."""
    text, _, seal = cookie.rpartition(".")
    if not hmac.compare_digest(seal.encode(), _seal(here, text).encode()):
        raise _refused()
    ends, secret, page = text.split(".")
    begun = Begun(secret, int(ends), urlsafe_b64decode(f"{page}==").decode())
    is_its = hmac.compare_digest(begun.state.encode(), state.encode("utf-8", "surrogatepass"))
    if begun.ends < time.time() or not is_its:
        raise _refused()
    return begun


def _seal(here: Installation, text: str) -> str:
    return here.keyring.proofs.fingerprint(b"sign-in\0" + text.encode("utf-8", "surrogatepass"))


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).decode().rstrip("=")


def _refused() -> LoginRefused:
    return LoginRefused(
        message="This sign-in was not begun in this browser, or more than 10 minutes ago. Begin "
        "again.",
        code="oidc-not-begun",
    )
