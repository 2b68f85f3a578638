"""The settings of a workspace, and its danger zone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.visitor import Visitor, words

AT = "/projects/shop/workspaces/app"
STATE = "/api/terraform/state/shop/app"


def write(boss: Caller, serial: int = 1) -> None:
    body = b'{"version":4,"serial":%d,"lineage":"l"}' % serial
    assert boss.call("POST", STATE, data=body).status_code == 200


def test_everything_that_the_api_can_change_is_changed_here(
    owner: Visitor, boss: Caller, shop: str
) -> None:
    boss.made(f"{shop}/variable-sets", {"name": "common"})
    boss.made(f"{shop}/variable-sets", {"name": "eu"})
    page = read_within(owner, f"{AT}/settings")
    assert 'value="app"' in page

    there = owner.done(
        f"{AT}/settings",
        {
            "name": "production",
            "module_key": "",
            "variable_sets": ["eu", "common", ""],
            "variable_files": "envs/prod.tfvars\r\n\r\nenvs/eu.tfvars\r\n",
            "backend_config_files": "",
        },
    )

    assert there == "/projects/shop/workspaces/production/settings"
    owner.done(there, {"start_empty": ["false", "true"], "shares_backend": "false"})
    owner.done(there, {"lock_timeout_seconds": "900"})
    owner.done(there, {"keep_versions": "7", "keep_days": ""})
    now = boss.get("/projects/shop/workspaces/production").json
    assert [one["name"] for one in now["variable_sets"]] == ["eu", "common"]
    assert now["variable_files"] == ["envs/prod.tfvars", "envs/eu.tfvars"]
    assert (now["start_empty"], now["shares_backend"]) == (True, False)
    assert (now["lock_timeout_seconds"], now["keep_versions"], now["keep_days"]) == (900, 7, None)
    assert "the newest 7 versions beside these" in words(owner.read(there))
    owner.done(there, {"lock_timeout_seconds": ""})
    assert boss.get("/projects/shop/workspaces/production").json["lock_timeout_seconds"] is None


@one_database
def test_a_workspace_that_only_keeps_a_state_gets_a_template(
    owner: Visitor, boss: Caller, shop: str
) -> None:
    boss.made(f"{shop}/workspaces", {"name": "kept"})
    at = "/projects/shop/workspaces/kept/settings"

    owner.done(at, {"name": "kept", "template": ""})
    assert boss.get("/projects/shop/workspaces/kept").json["template"] is None
    owner.done(at, {"name": "kept", "template": "app"})

    assert boss.get("/projects/shop/workspaces/kept").json["template"]["name"] == "app"
    assert '<select id="f-template"' not in owner.read(at)


@one_database
def test_what_cannot_be_set_is_refused(owner: Visitor, boss: Caller) -> None:
    for fields in (
        {"name": "A B"},
        {"name": ""},
        {"lock_timeout_seconds": "5"},
        {"keep_versions": "many"},
        {"variable_files": "/etc/passwd"},
        {"variable_sets": "unknown"},
    ):
        assert owner.send(f"{AT}/settings", fields).status_code == 422, fields


def test_the_next_prune_is_told_before_it_comes(owner: Visitor, boss: Caller) -> None:
    write(boss)

    assert "The next prune removes nothing." in words(read_within(owner, f"{AT}/retention"))
    boss.post(f"{AT}/lock", {"reason": "mine", "expires_in_minutes": 5})
    assert "Nothing is removed while the state is locked" in words(owner.read(f"{AT}/retention"))


@one_database
def test_a_workspace_is_frozen_with_a_reason_and_unfrozen(owner: Visitor, boss: Caller) -> None:
    assert owner.send(f"{AT}/settings/freeze", {"reason": ""}).status_code == 422

    owner.done(f"{AT}/settings/freeze", {"reason": "<i>audit</i>"})

    assert "&lt;i&gt;audit&lt;/i&gt;" in owner.read(f"{AT}/settings")
    assert boss.get(AT).json["frozen_reason"] == "<i>audit</i>"
    owner.done(f"{AT}/settings/unfreeze")
    assert boss.get(AT).json["frozen_at"] is None


def test_the_state_is_deleted_restored_and_purged(owner: Visitor, boss: Caller) -> None:
    write(boss)
    wrong = owner.send(f"{AT}/settings/state", {"what": "delete", "typed": "apps"})
    assert (wrong.status_code, boss.call("GET", STATE).status_code) == (422, 200)

    owner.done(f"{AT}/settings/state", {"what": "delete", "typed": "app"})

    assert boss.call("GET", STATE).status_code == 410
    assert "Restore the state" in words(owner.read(f"{AT}/settings"))
    owner.done(f"{AT}/settings/state", {"what": "undelete"})
    assert boss.call("GET", STATE).status_code == 200
    owner.done(f"{AT}/settings/state", {"what": "delete", "typed": "app"})
    owner.done(f"{AT}/settings/state", {"what": "purge", "typed": "app"})
    assert owner.send(f"{AT}/settings/state", {"what": "undelete"}).status_code == 410


@one_database
def test_a_state_that_was_moved_is_opened_here_again(
    owner: Visitor,
) -> None:
    for fields in ({"what": "unarchive", "typed": ""}, {"what": "all", "typed": "app"}, {}):
        assert owner.send(f"{AT}/settings/state", fields).status_code == 422
    owner.done(
        f"{AT}/settings/state", {"what": "unarchive", "typed": "app"}
    )  # harmless when it is open


def test_deleting_a_workspace_says_what_goes_with_it_and_wants_its_name(
    owner: Visitor, boss: Caller
) -> None:
    write(boss)
    boss.made(f"{AT}/variables", {"name": "region", "value": "eu"})
    boss.made(f"{AT}/aliases", {"name": "laptop", "access": "read-only"})
    run = boss.made(f"{AT}/runs", {"operation": "plan"})
    boss.post(f"/projects/shop/runs/{run['id']}/cancel")
    page = words(read_within(owner, f"{AT}/delete"))
    assert "State 1 version" in page
    assert "Runs 1 run" in page
    assert "Aliases 1 alias" in page
    assert "Variables 1 variable" in page
    agreed = {"with_state": ["false", "true"], "with_runs": ["false", "true"]}

    for fields, status in (
        ({"typed": "shop", **agreed}, 422),
        ({"typed": "app", "with_runs": "true"}, 409),
        ({"typed": "app", "with_state": "true"}, 409),
    ):
        assert owner.send(f"{AT}/delete", fields).status_code == status, fields
    assert owner.done(f"{AT}/delete", {"typed": "app", **agreed}) == "/projects/shop/workspaces"
    assert boss.get(AT).status_code == 404


@one_database
def test_the_owner_of_a_project_makes_a_workspace_its_default(
    owner: Visitor, boss: Caller, shop: str
) -> None:
    made = boss.made(f"{shop}/workspaces", {"name": "kept"})
    at = "/projects/shop/workspaces/kept/settings"
    assert "Make it the default" in words(owner.read(at))

    owner.done(f"{at}/default")

    assert boss.get(shop).json["default_workspace_id"] == made["id"]
    assert "Make it the default" not in words(owner.read(at))


@one_database
@pytest.mark.parametrize(
    ("role", "shown"),
    [
        ("guest", []),
        ("task_runner", []),
        ("manager", ["What its runs use", "Lock timeout", "Freeze the workspace"]),
        (
            "owner",
            ["What its runs use", "Lock timeout", "Freeze the workspace", "Delete the state of"],
        ),
    ],
)
def test_every_role_sees_the_buttons_that_it_may_use(
    visitor_of: Callable[..., Visitor], role: str, shown: list[str]
) -> None:
    visitor = visitor_of(role)
    page = words(visitor.read(f"{AT}/settings"))

    said = ("What its runs use", "Lock timeout", "Freeze the workspace", "Delete the state of")
    assert [one for one in said if one in page] == shown
    if role != "owner":
        refused = visitor.send(f"{AT}/settings/state", {"what": "delete", "typed": "app"})
        assert refused.status_code == 403
    if not shown:
        assert visitor.get(f"{AT}/delete").status_code == 403


@one_database
def test_a_stranger_changes_nothing(visitor_of: Callable[..., Visitor]) -> None:
    stranger = visitor_of(None)

    assert [stranger.get(f"{AT}/{tab}").status_code for tab in ("settings", "delete")] == [404, 404]
    assert stranger.send(f"{AT}/delete", {"typed": "app"}).status_code == 404
    assert stranger.send(f"{AT}/settings", {"name": "mine"}).status_code == 404
