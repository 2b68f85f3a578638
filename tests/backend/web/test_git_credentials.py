from __future__ import annotations

from typing import Any

import pytest

from tests.support.caller import Caller, refused
from tests.support.databases import one_database

LOGIN = {"kind": "password", "name": "login", "username": "ci", "password": "hunter2hunter2"}


@pytest.fixture
def login(boss: Caller, shop: str) -> str:
    """The path of the git credentials of a project that has a key with a password."""
    boss.made(f"{shop}/keys", LOGIN)
    return f"{shop}/git-credentials"


def test_a_git_credential_is_made_listed_and_deleted(
    boss: Caller, shop: str, login: str, app_workspace: str
) -> None:
    whole = boss.made(login, {"prefix": "git.example.com", "key": "login"})
    part = boss.made(login, {"prefix": "git.example.com", "key": "login", "workspace": "app"})

    listed = boss.get(login).json["items"]
    deleted = boss.delete(f"{login}/{whole['id']}")

    assert [one["id"] for one in listed] == [whole["id"], part["id"]]
    assert (whole["workspace"], part["workspace"]["name"]) == (None, "app")
    assert whole["key"]["name"] == "login"
    assert "hunter2" not in str(listed)
    assert deleted.status_code == 204
    assert [one["id"] for one in boss.get(login).json["items"]] == [part["id"]]
    refused(boss.delete(f"{login}/{whole['id']}"), 404, "not-found")


@one_database
@pytest.mark.parametrize(
    ("given", "prefix"),
    [
        ("git.example.com", "git.example.com"),
        ("Git.Example.com:8443/Team/", "git.example.com:8443/Team"),
        ("https://git.example.com/team/network.git", "git.example.com/team/network"),
        ("ssh://git@git.example.com:2222/team", "git.example.com:2222/team"),
    ],
)
def test_a_prefix_may_be_given_as_an_address(
    boss: Caller, login: str, given: str, prefix: str
) -> None:
    assert boss.made(login, {"prefix": given, "key": "login"})["prefix"] == prefix


@one_database
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"key": "login"}, "invalid-request"),
        ({"prefix": "git.example.com"}, "invalid-request"),
        ({"prefix": "git.example.com", "key": "nothing"}, "no-key"),
        ({"prefix": "git.example.com", "key": "none"}, "key-kind"),
        ({"prefix": "git.example.com", "key": "login", "workspace": "nothing"}, "no-workspace"),
        *(
            ({"prefix": prefix, "key": "login"}, "git-credential-invalid")
            for prefix in (
                "*",
                "a/../b",
                "git.example.com/$(x)",
                "a b",
                "a:b",
                "-x",
                "a/;",
                "https://",
            )
        ),
    ],
)
def test_a_wrong_git_credential_is_refused(
    boss: Caller, shop: str, login: str, body: dict[str, Any], code: str
) -> None:
    boss.made(f"{shop}/keys", {"kind": "none", "name": "none"})

    refused(boss.post(login, body), 422, code)

    assert boss.get(login).json["items"] == []


@pytest.mark.parametrize("workspace", [None, "app"])
def test_a_prefix_has_one_key(
    boss: Caller, login: str, app_workspace: str, workspace: str | None
) -> None:
    body = {"prefix": "git.example.com", "key": "login", "workspace": workspace}
    boss.made(login, body)

    refused(boss.post(login, body), 409, "git-credential-exists")


def test_a_key_that_opens_modules_is_not_deleted(boss: Caller, shop: str, login: str) -> None:
    made = boss.made(login, {"prefix": "git.example.com/team", "key": "login"})

    problem = refused(boss.delete(f"{shop}/keys/login"), 409, "key-in-use")
    boss.delete(f"{login}/{made['id']}")

    assert problem["git_credentials"] == ["git.example.com/team"]
    assert boss.delete(f"{shop}/keys/login").status_code == 204


def test_git_credentials_go_with_their_workspace_and_project(
    boss: Caller, shop: str, login: str, app_workspace: str
) -> None:
    boss.made(login, {"prefix": "git.example.com", "key": "login"})
    boss.made(login, {"prefix": "git.example.com", "key": "login", "workspace": "app"})

    assert boss.delete(f"{shop}/workspaces/app").status_code == 204
    assert len(boss.get(login).json["items"]) == 1
    assert boss.delete(f"{shop}/templates/app").status_code == 204
    assert boss.delete(shop).status_code == 204
