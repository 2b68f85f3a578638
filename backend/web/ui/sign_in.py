"""Sign in with a name and a password, sign out, and make the first administrator."""

from __future__ import annotations

from urllib.parse import urlsplit

import structlog
from flask import Response, g, make_response, redirect, request
from flask.typing import ResponseReturnValue

from backend.errors import Conflict, Unauthorised
from backend.models import Token
from backend.people import logins, tokens, users
from backend.transactions import Caller, Installation
from backend.web.current import client_address, cookies, installation, principal
from backend.web.ui import forms
from backend.web.ui.door import open_pages, say
from backend.web.ui.layout import page

bp = open_pages("sign-in")
log = structlog.get_logger()


@bp.get("/sign-in")
def ask() -> ResponseReturnValue:
    """The form. An installation without anybody shows how to make the first administrator."""
    here = installation()
    provider = here.settings.oidc_name if here.settings.oidc_issuer else None
    is_anybody_there = users.is_anybody_there(here)
    if not is_anybody_there and provider is None:
        return redirect("/first", 303)
    out = request.args.get("out") == "1"
    return page(
        "sign_in/sign_in.html",
        next=inside(request.args.get("next", "/")),
        provider=provider,
        sign_out_there=_address_to_sign_out(here) if out and provider is not None else None,
        is_anybody_there=is_anybody_there,
    )


def _address_to_sign_out(here: Installation) -> str | None:
    """Where people sign out of the provider too."""
    from backend.people.oidc import sign_in as oidc  # noqa: PLC0415 see single_sign_on.py

    return oidc.address_to_sign_out(here)


@bp.post("/sign-in")
def sign_in() -> ResponseReturnValue:
    name, password = forms.text("name"), forms.text("password")
    return begin_session(name, password, inside(forms.text("next")))


@bp.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End the session, so that a copy of its cookie opens nothing either."""
    there = "/sign-in?out=1" if installation().settings.oidc_issuer else "/sign-in"
    response = make_response(redirect(there, 303))
    jar = cookies()
    try:
        caller = Caller(installation(), principal())
    except Unauthorised:
        pass  # it has ended already
    else:
        with caller.transaction() as tx:
            tokens.revoke(tx, tx.principal.token_id)
    jar.drop(response, jar.session)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@bp.get("/first")
def first() -> ResponseReturnValue:
    """How the first administrator is made, until there is one."""
    if users.is_anybody_there(installation()):
        return redirect("/sign-in", 303)
    path = installation().settings.admin_token_path
    return page("sign_in/first.html", path=path)


@bp.post("/first")
def make_first() -> ResponseReturnValue:
    """Make the first administrator, for who has the token that the first start stored."""
    here = installation()
    if users.is_anybody_there(here):
        raise Conflict("There are people already: sign in.", code="not-the-first")
    name, password = forms.text("name"), forms.text("password")
    users.create_first(here, forms.text("token").strip(), name, password, client_address())
    say("You are the administrator. Begin with a project.")
    return begin_session(name, password, "/")


def begin_session(name: str, password: str, then: str) -> Response:
    here = installation()
    try:
        token, secret = logins.sign_in(
            here, name, password, client_address(), device=device(request.user_agent.string)
        )
    except logins.LoginRefused as refused:
        log.warning("login_refused", thing=refused.thing)
        logins.note_refused(here, refused)
        raise
    return let_in(token, secret, then)


def let_in(token: Token, secret: str, then: str) -> Response:
    """Give the browser its session, and go on."""
    response = make_response(redirect(then, 303))
    jar = cookies()
    jar.put(response, jar.session, secret, token.expires_at)
    jar.drop(response, jar.visitor)
    g.pop("visitor", None)
    return response


def device(user_agent: str) -> str:
    """A browser in words, by what it says of itself: `Firefox on Linux`."""
    browser = next((name for sign, name in _BROWSERS if sign in user_agent), "a browser")
    system = next((name for sign, name in _SYSTEMS if sign in user_agent), "")
    return f"{browser} on {system}" if system else browser


def inside(address: str) -> str:
    """Where to go on, if it is a page of ours; else the first one."""
    parts = urlsplit(address)
    is_ours = address.startswith("/") and not parts.netloc and not parts.scheme
    if not is_ours or address.startswith(("//", "/\\")) or not address.isprintable():
        return "/"
    return "/" if parts.path in {"/sign-in", "/sign-out", "/first"} else address


_BROWSERS = (
    ("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"),
    ("Mac OS", "macOS"), ("Linux", "Linux"),
)  # fmt: skip
