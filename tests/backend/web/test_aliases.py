"""Aliases as people make, list and revoke them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from backend.models import AuditEntry
from tests.support.alias_login import AliasLogin
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.people import new_person

LOGIN = {"kind": "password", "name": "laptops", "username": "ann", "password": "correct horse"}


def test_an_alias_shows_its_password_once(
    boss: Caller, aliases: str, laptop: dict[str, Any]
) -> None:
    later = boss.get(f"{aliases}/ann-laptop")
    listed = boss.get(aliases)

    assert re.fullmatch(r".*/api/terraform/[0-9a-z]{26}", laptop["address"])
    assert laptop["address"] == laptop["lock_address"] == laptop["unlock_address"]
    assert laptop["password"].startswith("stateroom-alias_")
    assert laptop["password"] not in later.get_data(as_text=True) + listed.get_data(as_text=True)
    shown = {name: value for name, value in laptop.items() if name not in {"password", "snippets"}}
    assert listed.json["items"] == [shown]
    assert later.json == {**shown, "snippets": later.json["snippets"]}


@one_database
def test_its_snippets_are_whole_and_a_placeholder_later(
    boss: Caller, aliases: str, laptop: dict[str, Any]
) -> None:
    later = boss.get(f"{aliases}/ann-laptop").json["snippets"]

    for tool in ("terraform", "tofu"):
        for name in ("address", "lock_address", "unlock_address", "username", "password"):
            assert re.search(
                rf'^ +{name} += "{laptop[name]}"$', laptop["snippets"][tool], re.MULTILINE
            )
        assert later[tool] == laptop["snippets"][tool].replace(laptop["password"], "YOUR_PASSWORD")
    for name in ("address", "lock_address", "unlock_address", "username", "password"):
        assert (
            f"export TF_HTTP_{name.upper()}='{laptop[name]}'\n" in laptop["snippets"]["environment"]
        )
    assert laptop["password"] not in json.dumps(later)


def test_a_key_is_kept_as_long_as_an_alias_uses_it(boss: Caller, shop: str, aliases: str) -> None:
    boss.made(f"{shop}/keys", LOGIN)
    boss.made(aliases, {"name": "team", "access": "read-only", "key": "laptops"})

    problem = refused(boss.delete(f"{shop}/keys/laptops"), 409, "key-in-use")
    boss.delete(f"{aliases}/team")

    assert problem["aliases"] == ["team"]
    assert boss.delete(f"{shop}/keys/laptops").status_code == 204
    assert boss.get(aliases).json["items"][0]["name"] == "team"


@one_database
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid-request"),
        ({"name": "x"}, 422, "invalid-request"),
        ({"name": "x", "access": "admin"}, 422, "invalid-request"),
        ({"name": "X y", "access": "read-only"}, 422, "name-invalid"),
        ({"name": "x", "access": "read-only", "key": "nothing"}, 422, "no-key"),
        ({"name": "x", "access": "read-only", "key": "none"}, 422, "key-kind"),
        ({"name": "x", "access": "read-only", "password": "mine"}, 422, "invalid-request"),
        ({"name": "x", "access": "read-only", "expires_in_days": 0}, 422, "invalid-request"),
        ({"name": "x", "access": "read-only", "expires_at": "2020-01-01T00:00:00Z"}, 422,
         "expiry-invalid"),
        ({"name": "ann-laptop", "access": "read-only"}, 409, "name-taken"),
    ],
)  # fmt: skip
def test_a_wrong_body_is_refused(
    boss: Caller, shop: str, aliases: str, laptop: dict[str, Any], body: Any, status: int, code: str
) -> None:
    boss.made(f"{shop}/keys", {"kind": "none"})

    refused(boss.post(aliases, body), status, code)


def test_an_alias_ends_when_it_says_and_does_not_outlive_its_maker(
    boss: Caller, client: FlaskClient, aliases: str
) -> None:
    soon = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
    issued = boss.made("/tokens", {"name": "x", "scopes": ["admin"], "expires_at": str(soon)})
    maker = Caller(client, issued["secret"])

    body = {"access": "read-only", "expires_in_days": 30}
    own = boss.made(aliases, {"name": "own", **body})
    capped = maker.made(aliases, {"name": "capped", **body})
    endless = maker.made(aliases, {"name": "endless", "access": "read-only"})

    assert own["expires_at"] > capped["expires_at"] == endless["expires_at"] == issued["expires_at"]


def test_a_repetition_makes_one_alias_and_shows_no_password(boss: Caller, aliases: str) -> None:
    body = {"name": "once", "access": "read-only"}

    first = boss.made(aliases, body, **{"Idempotency-Key": "k"})
    second = boss.made(aliases, body, **{"Idempotency-Key": "k"})

    assert first["id"] == second["id"]
    assert second["password"] is None
    assert first["password"] not in json.dumps(second)


@pytest.mark.parametrize(
    ("scopes", "access", "key"),
    [
        ("state:read state:write state:unlock", "read-only", None),
        ("templates:manage", "read-only", None),
        ("templates:manage state:read", "read-write", None),
        ("templates:manage state:read state:write", "read-write", None),
        ("templates:manage state:read", "read-only", "laptops"),
    ],
)
@one_database
def test_nobody_gives_an_alias_what_they_do_not_have(
    boss: Caller, shop: str, aliases: str, scopes: str, access: str, key: str | None
) -> None:
    boss.made(f"{shop}/keys", LOGIN)
    somebody = boss.with_scopes(*scopes.split(), project="shop")

    body = {"name": "x", "access": access, "key": key}
    refused(somebody.post(aliases, body), 403, "scope-missing")


def test_who_may_read_states_sees_the_aliases_and_revokes_none(
    boss: Caller, shop: str, aliases: str, laptop: dict[str, Any]
) -> None:
    reader = boss.with_scopes("state:read", project="shop")

    assert reader.get(aliases).json["items"][0]["name"] == "ann-laptop"
    refused(reader.delete(f"{aliases}/ann-laptop"), 403, "scope-missing")


@one_database
def test_a_stranger_and_a_missing_alias_get_404(
    boss: Caller, aliases: str, laptop: dict[str, Any], stranger: Caller
) -> None:
    refused(stranger.get(aliases), 404, "not-found")
    refused(stranger.post(aliases, {"name": "x", "access": "read-only"}), 404, "not-found")
    refused(stranger.get(f"{aliases}/{laptop['id']}"), 404, "not-found")
    refused(stranger.delete(f"{aliases}/{laptop['id']}"), 404, "not-found")
    refused(boss.get(f"{aliases}/nothing"), 404, "not-found")
    refused(boss.delete(f"{aliases}/nothing"), 404, "not-found")


def test_making_and_revoking_one_is_in_the_audit_log(
    boss: Caller, app: Flask, aliases: str, laptop: dict[str, Any]
) -> None:
    boss.delete(f"{aliases}/ann-laptop")

    with app.extensions["stateroom"].database.reading() as db:
        found = db.scalars(
            select(AuditEntry).where(AuditEntry.object == laptop["id"]).order_by(AuditEntry.id)
        ).all()

    assert [entry.action for entry in found] == ["alias.create", "alias.revoke"]
    assert laptop["password"] not in str([entry.detail for entry in found])


def test_an_alias_made_while_signed_in_outlives_the_session(
    boss: Caller, app_workspace: str
) -> None:
    ada = new_person(boss, shop="manager")

    made = ada.made(f"{app_workspace}/aliases", {"name": "laptop", "access": "read-only"})

    assert made["expires_at"] is None
    assert made["created_by"] == "ada"


def test_an_alias_ends_with_the_token_it_was_made_with(
    client: FlaskClient, boss: Caller, shop: str, aliases: str
) -> None:
    issued = boss.made(f"{shop}/tokens", {"name": "setup", "scopes": ["admin"]})
    setup = Caller(client, issued["secret"])
    alias = setup.made(aliases, {"name": "laptop", "access": "read-write"})
    login = AliasLogin(client, alias)
    before = login.send("GET").status_code

    boss.delete(f"{shop}/tokens/{issued['id']}")

    assert (before, login.send("GET").status_code) == (404, 401)
    assert boss.get(f"{aliases}/{alias['id']}").json["revoked_at"] is not None
