"""The pages of keys and git credentials."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.ssh_keys import ssh_key
from tests.support.visitor import Visitor, words

pytestmark = one_database
KEYS = "/projects/shop/keys"
CREDENTIALS = "/projects/shop/git-credentials"


def test_a_new_ssh_key_shows_its_public_half_only(owner: Visitor) -> None:
    there = owner.done(KEYS, {"kind": "ssh", "generate": "true", "name": "deploy"})

    assert there == f"{KEYS}/deploy"
    page = owner.read(there)
    assert "ssh-ed25519 AAAA" in page
    assert "SHA256:" in page
    assert "PRIVATE KEY-----\n" not in page
    assert "deploy" in owner.read(KEYS)


def test_a_pasted_key_is_stored_and_its_secret_never_shown(owner: Visitor) -> None:
    key, public = ssh_key()
    pasted = key.private_key

    owner.done(KEYS, {"kind": "ssh", "name": "deploy", "private_key": pasted})

    page = owner.read(f"{KEYS}/deploy")
    assert public in page
    assert pasted.splitlines()[2] not in page


def test_a_password_is_stored_replaced_and_never_shown(owner: Visitor) -> None:
    owner.done(
        KEYS, {"kind": "password", "name": "login", "username": "me", "password": "hunter2222"}
    )
    owner.done(f"{KEYS}/login", {"username": "you", "password": "hunter3333"})

    for page in (owner.read(KEYS), owner.read(f"{KEYS}/login")):
        assert "you" in page
        assert "hunter" not in page


def test_a_key_is_renamed_and_deleted(owner: Visitor) -> None:
    owner.done(KEYS, {"kind": "ssh", "generate": "true"})

    assert owner.done(f"{KEYS}/ssh", {"name": "deploy"}) == f"{KEYS}/deploy"
    assert owner.done(f"{KEYS}/deploy/delete") == KEYS

    assert "The key deploy is deleted." in (page := owner.read(KEYS))
    assert "No keys yet" in page


def test_what_is_no_key_is_refused_in_words(owner: Visitor) -> None:
    answer = owner.send(KEYS, {"kind": "ssh", "name": "x", "private_key": "ssh-ed25519 AAAA"})

    assert answer.status_code == 422
    assert "This is a public key" in words(answer.get_data(as_text=True))


def test_a_key_names_what_uses_it_and_is_not_deleted_meanwhile(
    owner: Visitor, boss: Caller
) -> None:
    owner.done(KEYS, {"kind": "ssh", "generate": "true", "name": "deploy"})
    boss.patch("/projects/shop/templates/app", {"key": "deploy"})
    owner.done(CREDENTIALS, {"prefix": "git.example.com/modules", "key": "deploy"})

    page = owner.read(f"{KEYS}/deploy")
    assert 'href="/projects/shop/templates/app"' in page
    assert "git.example.com/modules" in page
    assert "1 template, 1 git credential" in words(owner.read(KEYS))
    refused = owner.send(f"{KEYS}/deploy/delete")
    assert refused.status_code == 409
    assert "templates app" in words(refused.get_data(as_text=True))


def test_a_git_credential_is_made_and_deleted(owner: Visitor) -> None:
    owner.done(KEYS, {"kind": "ssh", "generate": "true", "name": "deploy"})
    owner.done(
        CREDENTIALS, {"prefix": "https://Git.Example.com/x", "key": "deploy", "workspace": "app"}
    )

    page = owner.read(CREDENTIALS)
    assert "git.example.com/x" in page
    assert "the workspace app" in words(page)
    [where] = re.findall(r'action="(/projects/shop/git-credentials/git_[^"]+/delete)"', page)
    owner.done(where)
    assert "git.example.com/x" not in owner.read(CREDENTIALS)


@pytest.mark.parametrize("path", [KEYS, CREDENTIALS, f"{KEYS}/deploy"])
def test_keys_are_for_those_who_manage_them(
    visitor_of: Callable[..., Visitor], boss: Caller, path: str
) -> None:
    boss.made(KEYS, {"kind": "none", "name": "deploy"})
    seen = {
        role: visitor_of(role).get(path).status_code
        for role in ("owner", "manager", "task_runner", "guest", None)
    }

    expected = {"owner": 200, "manager": 200, "task_runner": 403, "guest": 403, None: 404}
    assert seen == expected


def test_many_keys_take_few_statements(owner: Visitor, boss: Caller) -> None:
    for number in range(5):
        key = f"key-{number}"
        boss.made(KEYS, {"kind": "password", "name": key, "username": "u", "password": "secret"})
        boss.made(CREDENTIALS, {"prefix": f"h{number}.example.com", "key": key})

    for path in (KEYS, f"{KEYS}/key-1", CREDENTIALS):
        read_within(owner, path)
