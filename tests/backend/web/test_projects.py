from __future__ import annotations

from typing import Any

import pytest

from tests.backend.web.conftest import REPOSITORY
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.documents import state_document


def test_an_administrator_creates_a_project(boss: Caller) -> None:
    made = boss.made("/projects", {"name": "shop", "description": "The shop"})

    assert made["name"] == "shop"
    assert boss.get("/projects/shop").json == made
    assert boss.get(f"/projects/{made['id']}").json == made


@one_database
def test_a_project_token_creates_no_project(boss: Caller, shop: str) -> None:
    insider = boss.with_scopes("admin", project="shop")

    refused(insider.post("/projects", {"name": "mine"}), 403, "forbidden")


@one_database
@pytest.mark.parametrize(
    "name", ["", "Shop", "my shop", "-shop", "shop-", "..", "a/b", "läden", "x" * 64, "shop\n"]
)
def test_a_name_that_does_not_fit_a_url_is_refused_with_the_rule(boss: Caller, name: str) -> None:
    answer = boss.post("/projects", {"name": name})

    assert answer.status_code == 422
    assert "a-z" in answer.json["detail"] or "63" in answer.json["detail"]


@one_database
@pytest.mark.parametrize("name", ["workspace", "prj_01m7ymfcawexf026zr0jkbcfzt"])
def test_a_name_that_means_something_else_in_an_address_is_refused(boss: Caller, name: str) -> None:
    refused(boss.post("/projects", {"name": name}), 422, "name-reserved")


def test_a_name_is_given_once(boss: Caller, shop: str) -> None:
    refused(boss.post("/projects", {"name": "shop"}), 409, "name-taken")


@one_database
@pytest.mark.parametrize(
    "body", [{}, {"name": 1}, {"name": None}, {"name": "x", "colour": "red"}, {"name": ["x"]}]
)
def test_a_wrong_body_is_refused_naming_the_field(boss: Caller, body: dict[str, Any]) -> None:
    problem = refused(boss.post("/projects", body), 422, "invalid-request")

    assert problem["errors"][0]["field"] in {"name", "colour"}


def test_everybody_sees_their_own_projects(boss: Caller, shop: str, stranger: Caller) -> None:
    names = [project["name"] for project in boss.get("/projects").json["items"]]

    assert names == ["shop", "elsewhere"]
    assert [p["name"] for p in stranger.get("/projects").json["items"]] == ["elsewhere"]


def test_a_project_changes_its_description_and_known_hosts(boss: Caller, shop: str) -> None:
    line = "git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBlw"

    changed = boss.patch(shop, {"description": "New", "known_hosts": f"# ours\n{line}\n"}).json

    assert changed["description"] == "New"
    assert line in boss.get(shop).json["known_hosts"]
    assert changed["name"] == "shop"


@one_database
def test_known_hosts_that_are_none_are_refused_with_the_line(boss: Caller, shop: str) -> None:
    problem = refused(
        boss.patch(shop, {"known_hosts": "# fine\ngit.example.com\n"}), 422, "known-hosts-invalid"
    )

    assert "Line 2" in problem["detail"]


def test_a_project_is_renamed_unless_a_run_knows_its_address(boss: Caller, shop: str) -> None:
    run = boss.made(f"{shop}/runs")
    refused(boss.patch(shop, {"name": "store"}), 409, "run-active")
    boss.post(f"{shop}/runs/{run['id']}/cancel")

    renamed = boss.patch(shop, {"name": "store"})

    assert renamed.json["name"] == "store"
    address = boss.get("/projects/store/workspaces/app").json["addresses"]["address"]
    assert address.endswith("/api/terraform/state/store/app")


def test_the_default_workspace_is_chosen_and_has_to_exist(boss: Caller, shop: str) -> None:
    second = boss.made(f"{shop}/workspaces", {"template": "app", "name": "second"})

    chosen = boss.patch(shop, {"default_workspace": "second"})

    assert chosen.json["default_workspace_id"] == second["id"]
    refused(boss.patch(shop, {"default_workspace": "third"}), 422, "no-workspace")


def test_an_administrator_sets_quotas_and_sees_what_is_used(boss: Caller, shop: str) -> None:
    body = state_document()
    boss.call("POST", "/api/terraform/state/shop/app", data=body)
    boss.patch(f"{shop}/workspaces/app/states/1", {"pinned": True})

    changed = boss.patch(
        shop, {"max_states": 3, "max_versions": 20, "max_state_bytes": 1_000_000}
    ).json

    assert changed == boss.get(shop).json
    assert changed["max_states"] == 3
    assert changed["max_versions"] == 20
    assert changed["max_state_bytes"] == 1_000_000
    assert changed["use"] == {"states": 1, "pinned_versions": 1, "state_bytes": len(body)}
    assert boss.patch(shop, {"max_states": None}).json["max_states"] is None


@one_database
def test_quotas_are_for_administrators_of_the_installation(boss: Caller, shop: str) -> None:
    owner = boss.with_scopes("admin", project="shop")

    refused(owner.patch(shop, {"max_states": None}), 403, "forbidden")
    assert owner.patch(shop, {"description": "mine"}).status_code == 200


@one_database
@pytest.mark.parametrize("quota", ["max_states", "max_versions", "max_state_bytes"])
@pytest.mark.parametrize("limit", [0, -1, 2**60, 1.5, "3", True])
def test_a_quota_is_a_number_that_leaves_room(
    boss: Caller, shop: str, quota: str, limit: Any
) -> None:
    refused(boss.patch(shop, {quota: limit}), 422, "invalid-request")


def test_a_project_gets_no_workspace_above_its_quota(boss: Caller, shop: str) -> None:
    boss.patch(shop, {"max_states": 1})

    refused(boss.post(f"{shop}/workspaces", {"name": "second"}), 409, "quota-states")
    refused(
        boss.post(f"{shop}/templates", {"name": "x", "repository": REPOSITORY, "workspace": {}}),
        409,
        "quota-states",
    )

    boss.patch(shop, {"max_states": 2})
    boss.made(f"{shop}/workspaces", {"name": "second"})


def test_a_project_that_holds_something_is_not_deleted(boss: Caller, shop: str) -> None:
    problem = refused(boss.delete(shop), 409, "project-not-empty")

    assert problem["templates"] == ["app"]
    assert problem["workspaces"] == ["app"]
    assert boss.get(shop).status_code == 200


def test_an_empty_project_is_deleted_with_its_keys_and_tokens(boss: Caller) -> None:
    boss.made("/projects", {"name": "empty"})
    boss.made("/projects/empty/keys", {"kind": "none"})
    insider = boss.with_scopes("runs:read", project="empty")

    assert boss.delete("/projects/empty").status_code == 204

    assert boss.get("/projects/empty").status_code == 404
    assert insider.get("/whoami").status_code == 401


@one_database
@pytest.mark.parametrize("verb", ["GET", "PATCH", "DELETE"])
def test_a_stranger_and_a_missing_project_are_answered_alike(
    boss: Caller, shop: str, stranger: Caller, verb: str
) -> None:
    body: dict[str, Any] = {"json": {}} if verb == "PATCH" else {}

    foreign = refused(stranger.call(verb, shop, **body), 404, "not-found")
    missing = refused(boss.call(verb, "/projects/nothing", **body), 404, "not-found")

    assert foreign["detail"] == missing["detail"].replace("nothing", "shop")


@one_database
def test_who_belongs_to_a_project_without_the_scope_is_told_the_scope(
    boss: Caller, shop: str
) -> None:
    reader = boss.with_scopes("runs:read", project="shop")

    assert reader.get(shop).status_code == 200
    problem = refused(reader.patch(shop, {"description": "mine"}), 403, "scope-missing")
    assert problem["scope"] == "admin"
