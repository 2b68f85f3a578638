from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from tests.support.caller import Caller, refused
from tests.support.databases import one_database

SECRET = "hunter2-hunter2"


@pytest.fixture
def common(boss: Caller, shop: str) -> str:
    """The path of a set `common`."""
    boss.made(f"{shop}/variable-sets", {"name": "common", "description": "for all"})
    return f"{shop}/variable-sets/common"


def test_a_set_is_made_changed_listed_and_deleted(boss: Caller, shop: str, common: str) -> None:
    made = boss.get(common).json
    listed = boss.get(f"{shop}/variable-sets").json["items"]
    changed = boss.patch(common, {"name": "shared"}).json
    refused(boss.get(common), 404, "not-found")
    deleted = boss.delete(f"{shop}/variable-sets/shared")

    assert listed == [made]
    assert made["description"] == "for all"
    assert changed == {**made, "name": "shared"}
    assert deleted.status_code == 204
    assert boss.get(f"{shop}/variable-sets").json["items"] == []


def test_the_variables_of_a_set_are_like_those_of_a_workspace(
    boss: Caller, common: str, app: Flask
) -> None:
    path = f"{common}/variables"
    made = boss.made(path, {"name": "password", "value": SECRET, "sensitive": True})
    region = boss.put(f"{path}/environment/AWS_REGION", {"value": "eu"}).json
    changed = boss.patch(f"{path}/environment/AWS_REGION", {"value": "us"}).json

    assert (made["value"], region["value"], changed["value"]) == (None, "eu", "us")
    refused(boss.post(path, {"name": "password", "value": "x"}), 409, "name-taken")
    refused(
        boss.post(path, {"name": "PATH", "value": "x", "kind": "environment"}),
        *(422, "variable-reserved"),
    )
    names = [one["name"] for one in boss.get(path).json["items"]]
    assert names == ["password", "AWS_REGION"]
    assert boss.get(f"{path}/terraform/password").json["value"] is None
    with app.extensions["stateroom"].database.reading() as db:
        kept = db.execute(text("SELECT value FROM variables")).scalars().all()
    assert SECRET.encode() not in b"".join(map(bytes, kept))
    assert boss.delete(f"{path}/terraform/password").status_code == 204


def test_a_workspace_chooses_sets_and_a_later_one_wins(
    boss: Caller, shop: str, app_workspace: str, common: str
) -> None:
    boss.made(f"{shop}/variable-sets", {"name": "prod"})
    for name in ("common", "prod"):
        path = f"{shop}/variable-sets/{name}/variables"
        for variable in ("region", "size"):
            boss.made(path, {"name": variable, "value": f"of {name}"})
    boss.made(f"{app_workspace}/variables", {"name": "size", "value": "own", "sensitive": True})

    chosen = boss.patch(app_workspace, {"variable_sets": ["common", "prod"]}).json
    region, size = boss.get(f"{app_workspace}/variables/effective").json["items"]
    boss.patch(app_workspace, {"variable_sets": ["prod", "common"]})
    turned, _ = boss.get(f"{app_workspace}/variables/effective").json["items"]

    assert [one["name"] for one in chosen["variable_sets"]] == ["common", "prod"]
    prod, of_common = ({"kind": "set", "name": name} for name in ("prod", "common"))
    assert (region["value"], region["source"], region["hides"]) == ("of prod", prod, [of_common])
    workspace = {"kind": "workspace", "name": None}
    assert (size["value"], size["source"], size["hides"]) == (None, workspace, [prod, of_common])
    assert (turned["value"], turned["source"]) == ("of common", of_common)


def test_a_new_workspace_may_have_sets_at_once(boss: Caller, shop: str, common: str) -> None:
    assert common
    made = boss.made(f"{shop}/workspaces", {"name": "second", "variable_sets": ["common"]})

    [first, second] = boss.get(f"{shop}/workspaces").json["items"]
    assert [one["name"] for one in made["variable_sets"]] == ["common"]
    assert (first["variable_sets"], second["variable_sets"]) == ([], made["variable_sets"])


def test_a_set_that_a_workspace_uses_is_not_deleted(
    boss: Caller, shop: str, app_workspace: str, common: str
) -> None:
    boss.patch(app_workspace, {"variable_sets": ["common"]})

    problem = refused(boss.delete(common), 409, "variable-set-in-use")
    boss.patch(app_workspace, {"variable_sets": []})

    assert problem["workspaces"] == ["app"]
    boss.made(f"{common}/variables", {"name": "a", "value": "b"})
    assert boss.delete(common).status_code == 204
    assert shop


@one_database
@pytest.mark.parametrize(
    ("sets", "code"),
    [
        (["nothing"], "no-variable-set"),
        (["common", "common"], "variable-sets-invalid"),
        (["theirs"], "no-variable-set"),
        ("common", "invalid-request"),
    ],
)
def test_a_workspace_cannot_have_these_sets(
    boss: Caller, app_workspace: str, common: str, stranger: Caller, sets: Any, code: str
) -> None:
    assert common
    stranger.made("/projects/elsewhere/variable-sets", {"name": "theirs"})

    refused(boss.patch(app_workspace, {"variable_sets": sets}), 422, code)

    assert boss.get(app_workspace).json["variable_sets"] == []


@one_database
@pytest.mark.parametrize(
    ("body", "code"),
    [({}, "invalid-request"), ({"name": "A b"}, "name-invalid"), ({"name": 5}, "invalid-request")],
)
def test_a_wrong_set_is_refused(boss: Caller, shop: str, body: Any, code: str) -> None:
    refused(boss.post(f"{shop}/variable-sets", body), 422, code)


@one_database
def test_a_stranger_and_a_missing_set_get_404(boss: Caller, common: str, stranger: Caller) -> None:
    for path in (common, f"{common}/variables"):
        refused(stranger.get(path), 404, "not-found")
        refused(boss.get(path.replace("common", "nothing")), 404, "not-found")


@one_database
def test_the_variables_that_count_are_for_who_may_read_runs(
    boss: Caller, app_workspace: str, stranger: Caller
) -> None:
    path = f"{app_workspace}/variables/effective"

    refused(stranger.get(path), 404, "not-found")
    refused(boss.with_scopes("state:read", project="shop").get(path), 403, "scope-missing")
    other = boss.call("GET", path, query_string={"run": "run_nothing"})
    refused(other, 404, "not-found")
