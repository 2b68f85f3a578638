"""The OpenID provider that people sign in with: what it says of itself, and its tokens."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from authlib.integrations.requests_client import OAuth2Session, OAuthError
from authlib.oidc.discovery import get_well_known_url
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from backend.config import Settings
from backend.errors import Unavailable
from backend.people.logins import LoginRefused
from backend.people.oidc import begun

SECONDS = (4.0, 8.0)  # to connect, and to wait for more of an answer
KEPT_SECONDS = 600.0
PAUSE_SECONDS = 5.0  # after a failure nobody else waits for it
_AGAIN = Retry(total=2, backoff_factor=0.2, status_forcelist=(502, 503, 504), redirect=0)
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True)
class _Kept:
    """A document of the provider, or why there is none."""

    document: dict[str, Any] | None
    until: float
    problem: str = ""


_kept: dict[str, _Kept] = {}
_turn = threading.Lock()


def metadata(settings: Settings) -> dict[str, Any]:
    """What the provider says of itself (OpenID Connect Discovery). Raises Unavailable."""
    issuer = settings.oidc_issuer
    found = _document(get_well_known_url(issuer, external=True))
    if found.get("issuer") != issuer:
        raise _unavailable(
            f"it says that it is {found.get('issuer')!r}, and STATEROOM_OIDC_ISSUER is {issuer!r}"
        )
    schemes = {"https"} if issuer.startswith("https:") else {"https", "http"}
    for name in _ENDPOINTS:
        if urlsplit(str(found.get(name))).scheme not in schemes:
            raise _unavailable(f"its {name} cannot be used")
    return found


def keys(settings: Settings, *, anew: bool = False) -> list[dict[str, Any]]:
    """The public keys that sign its tokens. Raises Unavailable."""
    address = str(metadata(settings)["jwks_uri"])
    found = _document(address, anew=anew).get("keys")
    if not isinstance(found, list):
        raise _unavailable("it has no list of keys")
    return [key for key in found if isinstance(key, dict)]


def address_to_sign_in(settings: Settings, state: str, nonce: str, verifier: str) -> str:
    """Where to send somebody who wants to sign in. Raises Unavailable."""
    asked = metadata(settings)["authorization_endpoint"]
    with _client(settings, "none") as client:
        address, _ = client.create_authorization_url(
            asked, state=state, nonce=nonce, code_verifier=verifier
        )
    return str(address)


def redeem(settings: Settings, code: str, verifier: str) -> dict[str, Any]:
    """The tokens for a code. Raises LoginRefused, Unavailable."""
    found = metadata(settings)
    with _client(settings, _client_method(settings, found)) as client:
        try:
            given = client.fetch_token(
                found["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=verifier,
                timeout=SECONDS,
                allow_redirects=False,
            )
        except OAuthError as error:
            raise LoginRefused(
                message=f"The provider does not accept this sign-in any more: {error.error}.",
                code="oidc-code-refused",
            ) from None
        except (requests.RequestException, ValueError) as error:
            raise _unavailable(_said(error)) from None
    return dict(given)


def user_info(settings: Settings, access_token: str) -> dict[str, Any]:
    """What it tells of the person besides; empty if it has no such endpoint. Raises Unavailable."""
    address = metadata(settings).get("userinfo_endpoint")
    if not address:
        return {}
    with _session() as session:
        return _json(session, address, {"Authorization": f"Bearer {access_token}"})


def _client(settings: Settings, method: str) -> Any:
    return OAuth2Session(
        settings.oidc_client_id,
        settings.oidc_client_secret or None,
        token_endpoint_auth_method=method,
        scope=settings.oidc_scopes,
        redirect_uri=settings.url + begun.BACK,
        code_challenge_method="S256",
    )


def _client_method(settings: Settings, found: dict[str, Any]) -> str:
    """How to show who we are: with HTTP Basic, unless the provider takes only the form."""
    if not settings.oidc_client_secret:
        return "none"
    methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return next(
        (one for one in ("client_secret_basic", "client_secret_post") if one in methods),
        "client_secret_basic",
    )


def _document(address: str, *, anew: bool = False) -> dict[str, Any]:
    """A document of the provider, which is kept for a while. Raises Unavailable."""
    with _turn:  # who comes meanwhile waits, and finds it
        kept = _kept.get(address)
        is_kept = kept is not None and time.monotonic() < kept.until
        if kept is None or not is_kept or (anew and kept.document is not None):
            kept = _kept[address] = _fetched(address)
    if kept.document is None:
        raise _unavailable(kept.problem)
    return kept.document


def _fetched(address: str) -> _Kept:
    try:
        with _session() as session:
            return _Kept(_json(session, address, {}), time.monotonic() + KEPT_SECONDS)
    except Unavailable as error:
        return _Kept(None, time.monotonic() + PAUSE_SECONDS, str(error.facts["reason"]))


def _session() -> requests.Session:
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=_AGAIN))
    return session


def _json(session: requests.Session, address: str, headers: dict[str, str]) -> dict[str, Any]:
    asked = {"Accept": "application/json"} | headers
    try:
        answer = session.get(address, headers=asked, timeout=SECONDS, allow_redirects=False)
        answer.raise_for_status()
        found = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise _unavailable(_said(error)) from None
    if answer.status_code != 200 or not isinstance(found, dict):
        raise _unavailable(f"{address} answers {answer.status_code} without a JSON object")
    return found


def _said(error: Exception) -> str:
    """What went wrong, in few words: errors of connections name objects of Python."""
    if isinstance(error, requests.Timeout):
        return "it does not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection to it can be made"
    return str(error)


def _unavailable(reason: str) -> Unavailable:
    return Unavailable(
        f"The OpenID provider cannot be used now: {reason}. Try again, or sign in with a password.",
        code="oidc-unavailable",
        reason=reason,
    )
