from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from backend.models import Workspace
from backend.people import tokens
from backend.runs import claims
from backend.states import states
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.people import new_person


def test_a_token_is_shown_once_and_works_as_bearer_and_as_basic(
    boss: Caller, client: FlaskClient
) -> None:
    issued = boss.made("/tokens", {"name": "ci", "scopes": ["runs:read"], "expires_in_days": 30})

    bearer = Caller(client, issued["secret"]).get("/whoami")
    basic = client.get("/api/v1/whoami", auth=("anybody", issued["secret"]))

    assert bearer.json == basic.json
    assert bearer.json["name"] == "ci"
    assert bearer.json["scopes"] == ["runs:read"]
    assert issued["secret"] not in boss.get("/tokens").get_data(as_text=True)
    assert issued["expires_at"] is not None


@one_database
def test_the_names_of_other_systems_mean_our_scopes(boss: Caller) -> None:
    issued = boss.made("/tokens", {"name": "mesh", "scopes": ["TFSTATE_LIST", "TFSTATE_SAVE"]})

    assert issued["scopes"] == ["state:read", "state:write"]


def test_a_projects_token_sees_that_project_only(boss: Caller, shop: str, stranger: Caller) -> None:
    insider = boss.with_scopes("runs:read", project="shop")

    assert [p["name"] for p in insider.get("/projects").json["items"]] == ["shop"]
    refused(insider.get("/projects/elsewhere"), 404, "not-found")


def test_a_revoked_token_opens_nothing(boss: Caller, client: FlaskClient) -> None:
    issued = boss.made("/tokens", {"name": "ci", "scopes": ["runs:read"]})

    assert boss.delete(f"/tokens/{issued['id']}").status_code == 204
    assert boss.delete(f"/tokens/{issued['id']}").status_code == 204

    refused(Caller(client, issued["secret"]).get("/whoami"), 401, "unauthorised")
    shown = boss.get("/tokens").json["items"]
    assert [t["revoked_at"] is not None for t in shown if t["id"] == issued["id"]] == [True]


@one_database
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid-request"),
        ({"name": "x"}, "invalid-request"),
        ({"name": "x", "scopes": []}, "invalid-request"),
        ({"name": "x", "scopes": ["root"]}, "invalid"),
        ({"name": "x", "scopes": ["state:rescue"]}, "invalid"),
        ({"name": "x\n", "scopes": ["admin"]}, "invalid-request"),
        ({"name": "x" * 65, "scopes": ["admin"]}, "invalid-request"),
        ({"name": "x", "scopes": ["admin"], "expires_in_days": 0}, "invalid-request"),
        ({"name": "x", "scopes": ["admin"], "expires_at": "2020-01-01T00:00:00Z"}, "expiry-invalid"),
        ({"name": "x", "scopes": ["admin"], "expires_at": "9999-12-31T23:59:59-12:00"},
         "expiry-invalid"),
        ({"name": "x", "scopes": ["admin"], "expires_at": "2030-01-01T00:00:00"},
         "invalid-request"),
    ],
)  # fmt: skip
def test_a_wrong_body_is_refused(boss: Caller, body: dict[str, Any], code: str) -> None:
    refused(boss.post("/tokens", body), 422, code)


def test_a_token_ends_when_it_says(boss: Caller) -> None:
    wanted = datetime.now(UTC) + timedelta(days=3)

    body = {"name": "x", "scopes": ["runs:read"], "expires_at": wanted.isoformat()}
    issued = boss.made("/tokens", body)

    got = datetime.fromisoformat(issued["expires_at"])
    assert abs(got - wanted) < timedelta(milliseconds=1)
    refused(boss.post("/tokens", {**body, "expires_in_days": 1}), 422, "expiry-invalid")


@one_database
def test_nobody_gives_what_they_do_not_have(boss: Caller, shop: str) -> None:
    chief = boss.with_scopes("admin", project="shop")
    reader = boss.with_scopes("runs:read", project="shop")

    refused(chief.post("/tokens", {"name": "x", "scopes": ["admin"]}), 403, "forbidden")
    refused(chief.get("/tokens"), 403, "forbidden")
    refused(reader.post(f"{shop}/tokens", {"name": "x", "scopes": ["admin"]}), 403, "scope-missing")
    assert chief.made(f"{shop}/tokens", {"name": "x", "scopes": ["admin"]})["project_id"]


def test_a_project_lists_and_revokes_its_own_tokens_only(
    boss: Caller, shop: str, stranger: Caller
) -> None:
    foreign = boss.made("/projects/elsewhere/tokens", {"name": "x", "scopes": ["admin"]})
    mine = boss.made(f"{shop}/tokens", {"name": "mine", "scopes": ["admin"]})

    assert [t["name"] for t in boss.get(f"{shop}/tokens").json["items"]] == ["mine"]
    refused(boss.delete(f"{shop}/tokens/{foreign['id']}"), 404, "not-found")
    assert boss.delete(f"{shop}/tokens/{mine['id']}").status_code == 204


@one_database
def test_a_stranger_and_a_missing_token_get_404(boss: Caller, shop: str, stranger: Caller) -> None:
    refused(stranger.get(f"{shop}/tokens"), 404, "not-found")
    refused(stranger.post(f"{shop}/tokens", {"name": "x", "scopes": ["admin"]}), 404, "not-found")
    refused(stranger.delete(f"{shop}/tokens/tok_x"), 404, "not-found")
    refused(boss.delete("/tokens/tok_nothing"), 404, "not-found")


@one_database
def test_a_runs_credential_opens_nothing_of_the_api(
    boss: Caller, shop: str, app: Flask, client: FlaskClient
) -> None:
    run_id = boss.made(f"{shop}/runs")["id"]
    with app.extensions["stateroom"].itself.transaction() as tx:
        run = claims.claim(tx, run_id, "worker", timedelta(seconds=60))
        assert run is not None
        state = states.of_workspace(tx.db, tx.db.get_one(Workspace, run.workspace_id))
        credential = Caller(client, tokens.issue_for_run(tx.db, run, state.id))

    assert credential.call("GET", "/api/terraform/state/shop/app").status_code == 404
    for path in ("/whoami", "/projects", shop, f"{shop}/runs/{run_id}"):
        refused(credential.get(path), 403, "run-token")


def test_a_token_does_not_outlive_the_one_that_made_it(boss: Caller) -> None:
    made = boss.made("/tokens", {"name": "day", "scopes": ["admin"], "expires_in_days": 1})
    child = Caller(boss.client, made["secret"])

    forever = child.made("/tokens", {"name": "child", "scopes": ["admin"]})
    longer = child.made("/tokens", {"name": "longer", "scopes": ["admin"], "expires_in_days": 9})

    end = datetime.fromisoformat(made["expires_at"])
    for token in (forever, longer):
        assert abs(datetime.fromisoformat(token["expires_at"]) - end) < timedelta(seconds=1)


def test_a_person_makes_tokens_that_may_do_what_the_role_allows(boss: Caller, shop: str) -> None:
    ada = new_person(boss, shop="task_runner")

    made = ada.made("/tokens", {"name": "laptop", "scopes": ["runs:create", "state:read"]})

    token = Caller(boss.client, made["secret"])
    assert made["user_id"] == ada.id
    assert token.post(f"{shop}/runs", {"operation": "plan"}).status_code == 201
    refused(token.get(f"{shop}/workspaces/app/states"), 403, "scope-missing")
    at_state = token.call("GET", "/api/terraform/state/shop/app")
    refused(at_state, 403, "scope-missing")


def test_what_a_session_makes_outlives_it_and_what_a_token_makes_does_not(boss: Caller) -> None:
    ada = new_person(boss)
    session = ada.get("/whoami").json["token_id"]
    own = ada.made("/tokens", {"name": "own", "scopes": ["runs:read"], "expires_in_days": 90})
    parent = ada.made("/tokens", {"name": "parent", "scopes": ["admin"]})
    below = Caller(boss.client, parent["secret"]).made(
        "/tokens", {"name": "below", "scopes": ["runs:read"]}
    )

    ada.delete(f"/tokens/{parent['id']}")
    ada.delete(f"/tokens/{session}")

    assert (own["parent_id"], below["parent_id"]) == (None, parent["id"])
    assert Caller(boss.client, own["secret"]).get("/whoami").status_code == 200
    for dead in (ada, Caller(boss.client, parent["secret"]), Caller(boss.client, below["secret"])):
        refused(dead.get("/whoami"), 401, "unauthorised")


def test_a_persons_token_may_be_for_one_project(boss: Caller, shop: str, stranger: Caller) -> None:
    ada = new_person(boss, shop="guest", elsewhere="guest")

    narrow = ada.with_token("runs:read", project="shop")

    assert narrow.get(shop).status_code == 200
    refused(narrow.get("/projects/elsewhere"), 404, "not-found")
    body = {"name": "x", "scopes": ["runs:read"], "project": "nothing"}
    refused(ada.post("/tokens", body), 404, "not-found")


def test_everybody_lists_and_ends_their_own_tokens_only(boss: Caller, shop: str) -> None:
    ada, eve = new_person(boss), new_person(boss, "eve")
    hers = ada.made("/tokens", {"name": "hers", "scopes": ["runs:read"]})
    mine = boss.made("/tokens", {"name": "mine", "scopes": ["runs:read"]})

    assert [t["name"] for t in ada.get("/tokens").json["items"]] == ["login", "hers"]
    assert ada.get(f"/tokens/{hers['id']}").json["name"] == "hers"
    for path in (f"/tokens/{hers['id']}", f"/tokens/{mine['id']}", "/tokens/tok_x"):
        refused(eve.get(path), 404, "not-found")
        refused(eve.delete(path), 404, "not-found")
    of_boss = [t["name"] for t in boss.get("/tokens", mine="true").json["items"]]
    assert of_boss == ["administrator", "mine"]
    assert len(boss.get("/tokens").json["items"]) == 5


def test_a_narrow_token_of_a_person_does_not_end_the_others(boss: Caller) -> None:
    ada = new_person(boss)
    other = ada.made("/tokens", {"name": "other", "scopes": ["runs:read"]})
    narrow = ada.with_token("runs:read")

    refused(narrow.delete(f"/tokens/{other['id']}"), 404, "not-found")
    assert [t["name"] for t in narrow.get("/tokens").json["items"]] == ["mine"]
    itself = narrow.get("/whoami").json["token_id"]
    assert narrow.delete(f"/tokens/{itself}").status_code == 204


def test_owners_see_the_tokens_of_their_project_one_by_one(boss: Caller, shop: str) -> None:
    owner, manager = new_person(boss, "o", shop="owner"), new_person(boss, "m", shop="manager")
    made = boss.made(f"{shop}/tokens", {"name": "ci", "scopes": ["runs:read"]})
    path = f"{shop}/tokens/{made['id']}"

    assert owner.get(path).json["name"] == "ci"
    refused(manager.get(path), 403, "scope-missing")
    refused(owner.get(f"{shop}/tokens/tok_x"), 404, "not-found")
    assert owner.delete(path).status_code == 204
    assert owner.get(path).json["revoked_at"] is not None


@one_database
@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (["TFSTATE_LIST"], [404, 403, 403]),
        (["TFSTATE_SAVE"], [404, 200, 403]),
        (["TFSTATE_DELETE"], [403, 403, 200]),
        (["TFSTATE_LIST", "TFSTATE_SAVE", "TFSTATE_DELETE"], [404, 200, 200]),
    ],
)
def test_meshstacks_permissions_open_the_state_protocol(
    boss: Caller, shop: str, scopes: list[str], allowed: list[int]
) -> None:
    mesh = boss.with_scopes(*scopes, project="shop")
    path = "/api/terraform/state/shop/app"

    answers = [
        mesh.call("GET", path).status_code,
        mesh.call("POST", path, json={"version": 4, "serial": 1, "lineage": "x"}).status_code,
        mesh.call("DELETE", path).status_code,
    ]

    assert answers == allowed
