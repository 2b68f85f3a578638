from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.ssh_keys import Form, Kind, ssh_key

PASSWORD = "correct horse battery staple"


@one_database
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_an_ssh_key_is_stored_and_its_public_part_shown(
    boss: Caller, shop: str, kind: Kind
) -> None:
    key, public = ssh_key(kind)

    made = boss.made(f"{shop}/keys", {"kind": "ssh", "private_key": key.private_key})

    assert made["name"] == "ssh"
    assert made["public_key"] == public
    assert made["fingerprint"].startswith("SHA256:")
    assert "PRIVATE" not in str(made)


@one_database
def test_the_server_makes_a_key_of_which_nobody_sees_the_private_half(
    boss: Caller, shop: str
) -> None:
    first = boss.made(f"{shop}/keys", {"kind": "ssh", "generate": True})
    second = boss.made(f"{shop}/keys", {"kind": "ssh", "generate": True})

    assert first["public_key"].startswith("ssh-ed25519 ")
    assert first["public_key"] != second["public_key"]
    assert "PRIVATE" not in str(first)
    for wrong in ({"kind": "password"}, {"kind": "ssh", "private_key": "x"}):
        answer = boss.post(f"{shop}/keys", {"generate": True, **wrong})
        assert answer.status_code == 422, wrong


@one_database
@pytest.mark.parametrize("form", ["openssh", "pem"])
def test_an_ssh_key_with_a_passphrase_needs_the_right_one(
    boss: Caller, shop: str, form: Form
) -> None:
    key, public = ssh_key("rsa", form, passphrase="open sesame")
    body = {"kind": "ssh", "private_key": key.private_key}

    refused(boss.post(f"{shop}/keys", body), 422, "ssh-key-passphrase")
    refused(boss.post(f"{shop}/keys", {**body, "passphrase": "x"}), 422, "ssh-key-passphrase")
    made = boss.made(f"{shop}/keys", {**body, "passphrase": "open sesame"})

    assert made["public_key"] == public


@one_database
@pytest.mark.parametrize(
    ("pasted", "code"),
    [
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBlw me@laptop", "ssh-key-public"),
        ("-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----", "ssh-key-public"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none", "ssh-key-putty"),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIF\n-----END", "ssh-key-format"),
        ("-----BEGIN CERTIFICATE-----\nMIIF\n-----END CERTIFICATE-----", "ssh-key-invalid"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH", "ssh-key-invalid"),
        ("hunter2", "ssh-key-invalid"),
        ("", "ssh-key-invalid"),
    ],
)
def test_what_is_no_private_key_is_refused_saying_what_it_is(
    boss: Caller, shop: str, pasted: str, code: str
) -> None:
    refused(boss.post(f"{shop}/keys", {"kind": "ssh", "private_key": pasted}), 422, code)


def test_a_username_and_password_are_stored_and_the_password_never_shown(
    boss: Caller, shop: str, app: Flask
) -> None:
    body = {"kind": "password", "username": "bot", "password": PASSWORD, "name": "git"}

    made = boss.made(f"{shop}/keys", body)

    assert made["username"] == "bot"
    assert PASSWORD not in boss.get(f"{shop}/keys/git").get_data(as_text=True)
    assert PASSWORD not in boss.get(f"{shop}/keys").get_data(as_text=True)
    with app.extensions["stateroom"].database.reading() as db:
        kept = db.execute(text("SELECT secret FROM keys")).scalar_one()
    assert PASSWORD.encode() not in bytes(kept)


def test_keys_without_a_name_get_one_of_their_kind(boss: Caller, shop: str) -> None:
    names = [boss.made(f"{shop}/keys", {"kind": "none"})["name"] for _ in range(3)]

    assert names == ["none", "none-2", "none-3"]


@one_database
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"kind": "ssh"}, "key-incomplete"),
        ({"kind": "password", "username": "bot"}, "key-incomplete"),
        ({"kind": "none", "password": "x"}, "key-kind"),
        ({"kind": "password", "username": "b", "password": "x", "passphrase": "y"}, "key-kind"),
        ({"kind": "password", "username": "b\x9b2J", "password": "x"}, "invalid-request"),
        ({"kind": "api"}, "invalid-request"),
        ({}, "invalid-request"),
        ({"kind": "none", "name": "My Key"}, "name-invalid"),
    ],
)
def test_a_wrong_body_is_refused(boss: Caller, shop: str, body: dict[str, Any], code: str) -> None:
    refused(boss.post(f"{shop}/keys", body), 422, code)


@one_database
def test_a_refusal_does_not_repeat_the_secret(boss: Caller, shop: str) -> None:
    body = {"kind": "password", "username": "bot", "password": [PASSWORD]}

    answer = boss.post(f"{shop}/keys", body)

    assert answer.status_code == 422
    assert PASSWORD not in answer.get_data(as_text=True)


def test_a_key_is_renamed_and_its_secret_replaced(boss: Caller, shop: str) -> None:
    boss.made(f"{shop}/keys", {"kind": "ssh", "private_key": ssh_key()[0].private_key})
    other, public = ssh_key()

    changed = boss.patch(f"{shop}/keys/ssh", {"name": "new", "private_key": other.private_key})

    assert changed.json["public_key"] == public
    assert boss.get(f"{shop}/keys/new").json == changed.json
    refused(boss.patch(f"{shop}/keys/new", {"password": "x"}), 422, "key-kind")
    refused(boss.patch(f"{shop}/keys/new", {"passphrase": "x"}), 422, "key-incomplete")


def test_a_key_in_use_is_not_deleted_and_the_users_are_named(boss: Caller, shop: str) -> None:
    boss.made(f"{shop}/keys", {"kind": "ssh", "private_key": ssh_key()[0].private_key})
    boss.patch(f"{shop}/templates/app", {"key": "ssh"})
    boss.patch(f"{shop}/workspaces/app", {"module_key": "ssh"})

    problem = refused(boss.delete(f"{shop}/keys/ssh"), 409, "key-in-use")

    assert problem["templates"] == ["app"]
    assert problem["workspaces"] == ["app"]


def test_a_key_that_nothing_uses_is_deleted(boss: Caller, shop: str) -> None:
    boss.made(f"{shop}/keys", {"kind": "none"})

    assert boss.delete(f"{shop}/keys/none").status_code == 204

    refused(boss.get(f"{shop}/keys/none"), 404, "not-found")


@one_database
@pytest.mark.parametrize("verb", ["GET", "PATCH", "DELETE"])
def test_a_stranger_and_a_missing_key_get_404(
    boss: Caller, shop: str, stranger: Caller, verb: str
) -> None:
    boss.made(f"{shop}/keys", {"kind": "none"})
    body: dict[str, Any] = {"json": {}} if verb == "PATCH" else {}

    refused(stranger.call(verb, f"{shop}/keys/none", **body), 404, "not-found")
    refused(boss.call(verb, f"{shop}/keys/other", **body), 404, "not-found")


@one_database
def test_a_stranger_neither_lists_nor_stores_keys(shop: str, stranger: Caller) -> None:
    refused(stranger.get(f"{shop}/keys"), 404, "not-found")
    refused(stranger.post(f"{shop}/keys", {"kind": "none"}), 404, "not-found")


@one_database
def test_keys_are_not_for_those_who_only_read_runs(boss: Caller, shop: str) -> None:
    reader = boss.with_scopes("runs:read", "templates:manage", project="shop")

    assert refused(reader.get(f"{shop}/keys"), 403, "scope-missing")["scope"] == "keys:manage"
