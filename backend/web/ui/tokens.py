"""Tokens: one's own, and those of a project. A secret is shown once, on the answer to the form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import redirect, request
from flask.typing import ResponseReturnValue

from backend import paging
from backend.catalogue import projects
from backend.models import Token as TokenRow
from backend.paging import MAX_LIMIT
from backend.people import token_lists, tokens
from backend.principal import SCOPES
from backend.web.api.tokens import NewOwnToken, NewToken, Token
from backend.web.current import principal, reading, transaction
from backend.web.ui import forms, powers
from backend.web.ui.door import in_place, pages, say
from backend.web.ui.layout import page

bp = pages("tokens")
OF_PROJECT = "/projects/<project>/tokens"


@bp.get("/tokens")
def show_own() -> ResponseReturnValue:
    of_all = request.args.get("of") == "everybody"
    find = token_lists.find_everywhere if of_all else token_lists.find_issued
    with reading() as tx:
        found = find(tx, request.args.get("cursor"))
        open_to = projects.find_all(tx, limit=MAX_LIMIT).items
        return page(
            "tokens/tokens.html", at="/tokens", projects=open_to, of_all=of_all, **_shown(found)
        )


@bp.post("/tokens")
def issue_own() -> ResponseReturnValue:
    body = forms.read(NewOwnToken)
    with transaction() as tx:
        at = None if body.project is None else projects.get(tx, body.project).id
        made, secret = tokens.issue(
            tx, body.name, body.scopes, project_id=at, expires_at=body.expiry()
        )
        shown = Token.model_validate(made)
    return in_place(page("tokens/issued.html", token=shown, secret=secret, at="/tokens"))


@bp.get("/tokens/<token>")
def show_one(token: str) -> ResponseReturnValue:
    with reading() as tx:
        found = Token.model_validate(tokens.get(tx, token))
        ends = token_lists.what_ends(tx, token)
        return page(
            "tokens/token.html",
            token=found,
            ends=ends,
            at="/tokens",
            words=_words(),
            state=_state(found),
        )


@bp.post("/tokens/<token>/revoke")
def revoke(token: str) -> ResponseReturnValue:
    with transaction() as tx:
        tokens.revoke(tx, token)
    say("The token is revoked: it is refused from now on.")
    return redirect("/tokens", 303)


@bp.get(OF_PROJECT)
def show_of_project(project: str) -> ResponseReturnValue:
    with reading() as tx:
        at = projects.named(tx, project)
        found = token_lists.find_in_project(tx, at, request.args.get("cursor"))
        return page("tokens/tokens.html", at, at=f"/projects/{at.name}/tokens", **_shown(found))


@bp.post(OF_PROJECT)
def issue_for_project(project: str) -> ResponseReturnValue:
    body = forms.read(NewToken)
    with transaction() as tx:
        at = projects.named(tx, project)
        made, secret = tokens.issue_for_project(tx, at, body.name, body.scopes, body.expiry())
        where = f"/projects/{at.name}/tokens"
        return in_place(
            page(
                "tokens/issued.html", at, token=Token.model_validate(made), secret=secret, at=where
            )
        )


@bp.get(f"{OF_PROJECT}/<token>")
def show_one_of_project(project: str, token: str) -> ResponseReturnValue:
    with reading() as tx:
        at = projects.named(tx, project)
        found = Token.model_validate(tokens.get_of_project(tx, at, token))
        ends, where = token_lists.what_ends_in_project(tx, at, token), f"/projects/{at.name}/tokens"
        return page(
            "tokens/token.html",
            at,
            token=found,
            ends=ends,
            at=where,
            words=_words(),
            state=_state(found),
        )


@bp.post(f"{OF_PROJECT}/<token>/revoke")
def revoke_of_project(project: str, token: str) -> ResponseReturnValue:
    with transaction() as tx:
        tokens.revoke_of_project(tx, projects.named(tx, project), token)
    say("The token is revoked: it is refused from now on.")
    return redirect(f"/projects/{project}/tokens", 303)


def _shown(found: paging.Page[TokenRow]) -> dict[str, Any]:
    return {
        "items": [(token, _state(token)) for token in map(Token.model_validate, found.items)],
        "cursor": found.next_cursor,
        "words": _words(),
        "expiries": powers.EXPIRIES,
    }


def _words() -> list[tuple[str, str, str]]:
    """The scopes that the person who looks can give, in words."""
    mine = principal()
    return [(name, *powers.SCOPE_WORDS[name]) for name in SCOPES if mine.holds(name)]


def _state(token: Token) -> str:
    if token.revoked_at is not None:
        return "revoked"
    has_ended = token.expires_at is not None and token.expires_at <= datetime.now(UTC)
    return "expired" if has_ended else "valid"
