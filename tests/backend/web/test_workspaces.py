from __future__ import annotations

from typing import Any

import pytest

from tests.backend.web.conftest import REPOSITORY
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.documents import lock_info, state_document
from tests.support.ssh_keys import ssh_key

STATE = "/api/terraform/state/shop/app"


@one_database
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
        ({}, "name-missing"),
        ({"template": 1}, "invalid-request"),
        ({"template": "nothing"}, "no-template"),
        ({"template": "app", "name": "lock"}, "name-reserved"),
        ({"template": "app", "name": "new"}, "name-reserved"),
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


def test_a_workspace_without_a_template_keeps_a_state(boss: Caller, shop: str) -> None:
    made = boss.made(f"{shop}/workspaces", {"name": "laptops"})
    written = boss.call("POST", "/api/terraform/state/shop/laptops", data=state_document())

    assert made["template"] is None
    assert written.status_code == 200
    shown = boss.get(f"{shop}/workspaces/laptops").json
    assert shown["template"] is None
    assert shown["state"]["current"]["number"] == 1
    assert [w["template"] for w in boss.get(f"{shop}/workspaces").json["items"]][1:] == [None]


def test_the_first_workspace_of_a_project_is_its_default_without_a_template_too(
    boss: Caller,
) -> None:
    boss.made("/projects", {"name": "empty"})

    made = boss.made("/projects/empty/workspaces", {"name": "only"})

    assert made["is_default"] is True
    refused(boss.post("/projects/empty/runs"), 409, "no-template")


@one_database
def test_a_workspace_without_a_template_runs_nothing_until_it_gets_one(
    boss: Caller, shop: str
) -> None:
    boss.made(f"{shop}/workspaces", {"name": "laptops"})
    problem = refused(boss.post(f"{shop}/workspaces/laptops/runs"), 409, "no-template")
    assert "Give it a template" in problem["detail"]

    given = boss.patch(f"{shop}/workspaces/laptops", {"template": "app"}).json

    assert given["template"]["name"] == "app"
    run = boss.made(f"{shop}/workspaces/laptops/runs")
    assert run["template"]["name"] == "app"


def test_a_workspace_stays_with_its_template(boss: Caller, shop: str, app_workspace: str) -> None:
    boss.made(f"{shop}/templates", {"name": "other", "repository": REPOSITORY})

    refused(boss.patch(app_workspace, {"template": "other"}), 409, "template-set")
    refused(boss.patch(app_workspace, {"template": "nothing"}), 422, "no-template")
    assert boss.patch(app_workspace, {"template": "app"}).status_code == 200


def test_a_workspace_has_a_lock_timeout_and_keeps_so_many_versions(
    boss: Caller, app_workspace: str
) -> None:
    limits = {"lock_timeout_seconds": 600, "keep_versions": 10, "keep_days": 90}

    changed = boss.patch(app_workspace, limits).json

    assert {name: changed[name] for name in limits} == limits
    taken_away = boss.patch(app_workspace, dict.fromkeys(limits)).json
    assert [taken_away[name] for name in limits] == [None, None, None]


@one_database
@pytest.mark.parametrize(
    "limit",
    [
        {"lock_timeout_seconds": 59},
        {"lock_timeout_seconds": 2_592_001},
        {"lock_timeout_seconds": "600"},
        {"keep_versions": 0},
        {"keep_days": 0},
        {"keep_days": 100_000},
    ],
)
def test_a_limit_has_bounds(boss: Caller, app_workspace: str, limit: dict[str, Any]) -> None:
    refused(boss.patch(app_workspace, limit), 422, "invalid-request")


@one_database
def test_a_limit_that_removes_something_needs_the_scope_for_that(
    boss: Caller, app_workspace: str
) -> None:
    manager = boss.with_scopes("templates:manage", project="shop")

    timeout = refused(
        manager.patch(app_workspace, {"lock_timeout_seconds": 60}), 403, "scope-missing"
    )
    keep = refused(manager.patch(app_workspace, {"keep_versions": 1}), 403, "scope-missing")

    assert (timeout["scope"], keep["scope"]) == ("state:unlock", "state:delete")
    assert boss.get(app_workspace).json["keep_versions"] is None


def test_a_workspace_is_frozen_and_unfrozen(boss: Caller, app_workspace: str) -> None:
    frozen = boss.post(f"{app_workspace}/freeze", {"reason": "we move the network"}).json

    assert frozen["frozen_at"] is not None
    assert frozen["frozen_by"] == "administrator"
    assert frozen["frozen_reason"] == "we move the network"
    again = refused(
        boss.post(f"{app_workspace}/freeze", {"reason": "me too"}), 409, "workspace-frozen"
    )
    assert "we move the network" in again["detail"]
    thawed = boss.post(f"{app_workspace}/unfreeze").json
    assert (thawed["frozen_at"], thawed["frozen_by"], thawed["frozen_reason"]) == (None,) * 3
    assert boss.post(f"{app_workspace}/unfreeze").status_code == 200


def test_nothing_is_queued_nor_deleted_in_a_frozen_workspace(
    boss: Caller, shop: str, app_workspace: str
) -> None:
    boss.post(f"{app_workspace}/freeze", {"reason": "we move"})

    refused(boss.post(f"{shop}/runs"), 409, "workspace-frozen")
    refused(boss.post(f"{shop}/runs", {"operation": "plan"}), 409, "workspace-frozen")
    refused(boss.delete(app_workspace), 409, "workspace-frozen")
    assert boss.get(app_workspace).status_code == 200


def test_a_queued_run_says_that_it_waits_for_the_end_of_a_freeze(
    boss: Caller, shop: str, app_workspace: str
) -> None:
    run = boss.made(f"{shop}/runs")
    assert run["workspace_frozen"] is False

    boss.post(f"{app_workspace}/freeze", {"reason": "we move"})

    waiting = boss.get(f"{shop}/runs/{run['id']}").json
    assert (waiting["status"], waiting["workspace_frozen"]) == ("queued", True)
    assert boss.post(f"{shop}/runs/{run['id']}/cancel").json["status"] == "canceled"


@one_database
def test_freezing_needs_a_reason_and_a_scope(
    boss: Caller, app_workspace: str, stranger: Caller
) -> None:
    runner = boss.with_scopes("state:write", "templates:manage", project="shop")

    for path, body in (("freeze", {"reason": "mine"}), ("unfreeze", {})):
        refused(runner.post(f"{app_workspace}/{path}", body), 403, "scope-missing")
        refused(stranger.post(f"{app_workspace}/{path}", body), 404, "not-found")
    refused(boss.post(f"{app_workspace}/freeze"), 422, "invalid-request")
    refused(boss.post(f"{app_workspace}/freeze", {"reason": ""}), 422, "invalid-request")


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
    boss.made(f"{app_workspace}/aliases", {"name": "laptop", "access": "read-only"})
    run = boss.made(f"{shop}/runs")
    boss.post(f"{shop}/runs/{run['id']}/cancel")
    boss.call("POST", STATE, data=state_document())

    assert boss.get(f"{app_workspace}/contents").json == {
        "versions": 1, "rescued": 0, "runs": 1, "aliases": 1, "variables": 1,
    }  # fmt: skip
    assert boss.delete(app_workspace, with_runs="true", with_state="true").status_code == 204

    refused(boss.get(app_workspace), 404, "not-found")
    refused(boss.get(f"{shop}/runs/{run['id']}"), 404, "not-found")
    assert boss.get(shop).json["default_workspace_id"] is None
    assert boss.get(f"{shop}/templates/app").json["default_workspace_id"] is None


def test_the_records_of_runs_are_deleted_only_when_that_is_agreed_to(
    boss: Caller, shop: str, app_workspace: str
) -> None:
    run = boss.made(f"{shop}/runs")
    boss.post(f"{shop}/runs/{run['id']}/cancel")

    problem = refused(boss.delete(app_workspace), 409, "workspace-has-runs")

    assert problem["runs"] == 1
    assert boss.get(f"{shop}/runs/{run['id']}").json["status"] == "canceled"
    assert boss.delete(app_workspace, with_runs="true").status_code == 204


def test_a_state_is_deleted_only_when_that_is_agreed_to_by_who_may(
    boss: Caller, app_workspace: str
) -> None:
    boss.call("POST", STATE, data=state_document())
    manager = boss.with_scopes("templates:manage", project="shop")

    assert refused(boss.delete(app_workspace), 409, "state-exists")["versions"] == 1
    refused(manager.delete(app_workspace, with_state="true"), 403, "scope-missing")

    assert boss.delete(app_workspace, with_state="true").status_code == 204


def test_a_workspace_whose_state_is_deleted_needs_no_agreement(
    boss: Caller, app_workspace: str
) -> None:
    boss.call("POST", STATE, data=state_document())

    assert boss.delete(f"{app_workspace}/states").json["deleted_at"] is not None

    assert boss.delete(app_workspace).status_code == 204


def test_a_workspace_with_a_run_under_way_is_not_deleted(
    boss: Caller, shop: str, app_workspace: str
) -> None:
    run = boss.made(f"{shop}/runs")

    assert refused(boss.delete(app_workspace), 409, "run-active")["run"] == run["id"]


@one_database
@pytest.mark.parametrize("verb", ["GET", "PATCH", "DELETE"])
def test_a_stranger_and_a_missing_workspace_get_404(
    boss: Caller, shop: str, app_workspace: str, stranger: Caller, verb: str
) -> None:
    body: dict[str, Any] = {"json": {}} if verb == "PATCH" else {}

    refused(stranger.call(verb, app_workspace, **body), 404, "not-found")
    refused(boss.call(verb, f"{shop}/workspaces/other", **body), 404, "not-found")


@one_database
def test_a_stranger_neither_lists_nor_creates_workspaces(shop: str, stranger: Caller) -> None:
    refused(stranger.get(f"{shop}/workspaces"), 404, "not-found")
    refused(stranger.post(f"{shop}/workspaces", {"template": "app"}), 404, "not-found")


@one_database
def test_who_manages_templates_without_reading_runs_creates_a_workspace(
    boss: Caller, shop: str
) -> None:
    manager = boss.with_scopes("templates:manage", project="shop")

    made = manager.made(f"{shop}/workspaces", {"template": "app", "name": "another"})

    assert made["last_run"] is None
    refused(manager.get(f"{shop}/workspaces/another"), 403, "scope-missing")


def test_a_workspace_is_not_deleted_under_somebodys_first_apply(
    boss: Caller, app_workspace: str
) -> None:
    lock = lock_info()
    boss.call("LOCK", STATE, json=lock)

    refused(boss.delete(app_workspace), 423, "state-locked")

    stored = boss.call("POST", f"{STATE}?ID={lock['ID']}", data=state_document())
    assert stored.status_code == 200


def test_a_workspace_is_not_deleted_while_a_refused_write_is_all_that_there_is(
    boss: Caller, app_workspace: str
) -> None:
    boss.call("LOCK", STATE, json=lock_info())
    boss.call("POST", STATE, data=state_document())
    boss.delete(f"{app_workspace}/lock", reason="it died")

    assert refused(boss.delete(app_workspace), 409, "rescued-undecided")["rescued"] == 1

    [kept] = boss.get(f"{app_workspace}/rescued").json["items"]
    boss.post(f"{app_workspace}/rescued/{kept['id']}/dismiss")
    assert boss.delete(app_workspace).status_code == 204
