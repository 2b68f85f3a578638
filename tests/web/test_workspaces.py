from __future__ import annotations

from typing import Any

import pytest

from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.documents import state_document
from tests.support.ssh_keys import ssh_key

STATE = "/api/terraform/state/shop/app"


def test_a_workspace_shows_its_addresses_with_snippets(boss: Caller, app_workspace: str) -> None:
    shown = boss.get(app_workspace).json

    addresses = shown["addresses"]
    assert addresses["address"].endswith(STATE)
    for name in ("address", "lock_address", "unlock_address"):
        assert addresses[name] in addresses["snippets"]["terraform"]
        assert name.upper() in addresses["snippets"]["environment"]
    assert boss.token not in str(shown)
    assert shown["is_default"] is True
    assert shown["state"]["current"] is None
    assert shown["lock"]["held"] is False
    assert shown["last_run"] is None


def test_a_workspace_shows_its_state_its_lock_and_its_last_run(
    boss: Caller, shop: str, app_workspace: str
) -> None:
    boss.call("POST", STATE, data=state_document(7))
    boss.call("LOCK", STATE, json={"ID": "l-1", "Who": "me@laptop"})
    run = boss.made(f"{shop}/runs")

    shown = boss.get(app_workspace).json

    assert shown["state"]["current"]["number"] == 1
    assert shown["state"]["current"]["serial"] == 7
    assert shown["lock"]["held"] is True
    assert shown["lock"]["info"]["Who"] == "me@laptop"
    assert shown["last_run"]["id"] == run["id"]


def test_a_template_runs_in_several_workspaces(boss: Caller, shop: str) -> None:
    made = boss.made(
        f"{shop}/workspaces",
        {"template": "app", "variables": [{"name": "size", "value": "2", "is_expression": True}]},
    )

    assert made["name"] == "app-2"
    assert made["is_default"] is False
    assert [w["name"] for w in boss.get(f"{shop}/workspaces").json["items"]] == ["app", "app-2"]


@one_database
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid-request"),
        ({"template": "nothing"}, "no-template"),
        ({"template": "app", "name": "lock"}, "name-reserved"),
        ({"template": "app", "name": "a b"}, "name-invalid"),
        ({"template": "app", "module_key": "nothing"}, "no-key"),
        ({"template": "app", "module_key": "none"}, "key-kind"),
        ({"template": "app", "variables": [{"name": "1x", "value": ""}]}, "name-invalid"),
        ({"template": "app", "variables": {}}, "invalid-request"),
    ],
)
def test_a_wrong_body_is_refused(boss: Caller, shop: str, body: dict[str, Any], code: str) -> None:
    boss.made(f"{shop}/keys", {"kind": "none"})

    refused(boss.post(f"{shop}/workspaces", body), 422, code)


def test_a_name_is_given_once_in_a_project(boss: Caller, shop: str) -> None:
    body = {"template": "app", "name": "app"}

    refused(boss.post(f"{shop}/workspaces", body), 409, "name-taken")


def test_a_workspace_is_renamed_and_gets_a_key_for_modules(
    boss: Caller, shop: str, app_workspace: str
) -> None:
    boss.made(f"{shop}/keys", {"kind": "ssh", "private_key": ssh_key()[0].private_key})

    changed = boss.patch(app_workspace, {"name": "prod", "module_key": "ssh"}).json

    assert changed["addresses"]["address"].endswith("/shop/prod")
    assert boss.get(f"{shop}/workspaces/prod").json["module_key"]["name"] == "ssh"
    assert boss.get(app_workspace).status_code == 404


def test_a_workspace_is_not_renamed_under_a_run(
    boss: Caller, shop: str, app_workspace: str
) -> None:
    boss.made(f"{shop}/runs")

    refused(boss.patch(app_workspace, {"name": "prod"}), 409, "run-active")


def test_a_workspace_is_deleted_with_all_it_has(
    boss: Caller, shop: str, app_workspace: str
) -> None:
    boss.made(f"{app_workspace}/variables", {"name": "a", "value": "b"})
    run = boss.made(f"{shop}/runs")
    boss.post(f"{shop}/runs/{run['id']}/cancel")

    assert boss.delete(app_workspace).status_code == 204

    refused(boss.get(app_workspace), 404, "not-found")
    refused(boss.get(f"{shop}/runs/{run['id']}"), 404, "not-found")
    assert boss.get(shop).json["default_workspace_id"] is None
    assert boss.get(f"{shop}/templates/app").json["default_workspace_id"] is None


def test_a_workspace_with_a_state_is_deleted_after_its_state(
    boss: Caller, app_workspace: str
) -> None:
    boss.call("POST", STATE, data=state_document())
    refused(boss.delete(app_workspace), 409, "state-exists")

    assert boss.delete(f"{app_workspace}/states").json["deleted_at"] is not None

    assert boss.delete(app_workspace).status_code == 204


def test_a_workspace_with_a_run_under_way_is_not_deleted(
    boss: Caller, shop: str, app_workspace: str
) -> None:
    run = boss.made(f"{shop}/runs")

    assert refused(boss.delete(app_workspace), 409, "run-active")["run"] == run["id"]


@pytest.mark.parametrize("verb", ["GET", "PATCH", "DELETE"])
def test_a_stranger_and_a_missing_workspace_get_404(
    boss: Caller, shop: str, app_workspace: str, stranger: Caller, verb: str
) -> None:
    body: dict[str, Any] = {"json": {}} if verb == "PATCH" else {}

    refused(stranger.call(verb, app_workspace, **body), 404, "not-found")
    refused(boss.call(verb, f"{shop}/workspaces/other", **body), 404, "not-found")


def test_a_stranger_neither_lists_nor_creates_workspaces(shop: str, stranger: Caller) -> None:
    refused(stranger.get(f"{shop}/workspaces"), 404, "not-found")
    refused(stranger.post(f"{shop}/workspaces", {"template": "app"}), 404, "not-found")


def test_who_manages_templates_without_reading_runs_creates_a_workspace(
    boss: Caller, shop: str
) -> None:
    manager = boss.with_scopes("templates:manage", project="shop")

    made = manager.made(f"{shop}/workspaces", {"template": "app", "name": "new"})

    assert made["last_run"] is None
    refused(manager.get(f"{shop}/workspaces/new"), 403, "scope-missing")
