from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from tests.support.caller import Caller, refused
from tests.support.databases import one_database

SECRET = "hunter2-hunter2"


@pytest.fixture
def variables(app_workspace: str) -> str:
    return f"{app_workspace}/variables"


def test_a_variable_is_added_and_read(boss: Caller, variables: str) -> None:
    made = boss.made(variables, {"name": "region", "value": "eu-central-1"})

    assert made["kind"] == "terraform"
    assert made["value"] == "eu-central-1"
    assert made["type"] == "string"
    assert made.pop("warnings") == []
    assert boss.get(f"{variables}/{made['id']}").json == made
    assert boss.get(f"{variables}/terraform/region").json == made
    assert boss.get(variables).json["items"] == [made]


def test_the_same_name_may_be_a_terraform_and_an_environment_variable(
    boss: Caller, variables: str
) -> None:
    boss.made(variables, {"name": "A", "value": "1"})
    boss.made(variables, {"name": "A", "value": "2", "kind": "environment"})

    refused(boss.post(variables, {"name": "A", "value": "3"}), 409, "name-taken")
    assert boss.get(f"{variables}/environment/A").json["value"] == "2"


def test_a_sensitive_value_is_never_shown_and_kept_sealed(
    boss: Caller, variables: str, app: Flask
) -> None:
    made = boss.made(variables, {"name": "password", "value": SECRET, "sensitive": True})

    assert made["value"] is None
    for path in (variables, f"{variables}/terraform/password"):
        assert SECRET not in boss.get(path).get_data(as_text=True)
    with app.extensions["stateroom"].database.reading() as db:
        kept = db.execute(text("SELECT value FROM variables")).scalar_one()
        audited = db.execute(text("SELECT detail FROM audit_entries")).scalars().all()
    assert SECRET.encode() not in bytes(kept)
    assert SECRET not in str(audited)


def test_a_sensitive_variable_turns_ordinary_only_with_a_new_value(
    boss: Caller, variables: str
) -> None:
    boss.made(variables, {"name": "password", "value": SECRET, "sensitive": True})
    path = f"{variables}/terraform/password"

    refused(boss.patch(path, {"sensitive": False}), 422, "variable-sensitive")
    opened = boss.patch(path, {"sensitive": False, "value": "public"})

    assert opened.json["value"] == "public"


def test_a_variable_is_put_whether_it_is_there_or_not(boss: Caller, variables: str) -> None:
    path = f"{variables}/environment/AWS_REGION"

    first = boss.put(path, {"value": "a", "sensitive": True})
    second = boss.put(path, {"value": "b"})

    assert first.status_code == second.status_code == 200
    assert second.json["id"] == first.json["id"]
    assert second.json["value"] == "b"
    assert boss.put(f"{variables}/{first.json['id']}", {"value": "c"}).json["value"] == "c"


@one_database
@pytest.mark.parametrize(
    "name",
    ["TF_CLI_ARGS_init", "TF_LOG_PATH", "LD_PRELOAD", "GIT_SSH_COMMAND", "tf_workspace",
     "PYTHONPATH", "HOME", "XDG_CONFIG_HOME", "TOFU_CPU_PROFILE"],
)  # fmt: skip
def test_an_environment_name_that_would_move_the_state_or_its_tool_is_refused(
    boss: Caller, variables: str, name: str
) -> None:
    body = {"kind": "environment", "name": name, "value": "x"}

    problem = refused(boss.post(variables, body), 422, "variable-reserved")
    refused(boss.put(f"{variables}/environment/{name}", {"value": "x"}), 422, "variable-reserved")

    assert "TF_CLI_ARGS*" in problem["reserved"]


@one_database
@pytest.mark.parametrize(
    "name", ["AWS_ACCESS_KEY_ID", "TF_VAR_region", "TF_LOG", "TF_ENCRYPTION", "HOMES"]
)
def test_other_environment_names_are_taken(boss: Caller, variables: str, name: str) -> None:
    boss.made(variables, {"kind": "environment", "name": name, "value": "x"})


@one_database
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid-request"),
        ({"name": "a"}, "invalid-request"),
        ({"name": "a", "value": 5}, "invalid-request"),
        ({"name": "a", "value": "x\x00"}, "invalid-request"),
        ({"name": "a", "value": "\ud800"}, "invalid-request"),
        ({"name": "a", "value": "ä" * 60_000}, "variable-invalid"),
        ({"name": "a b", "value": ""}, "name-invalid"),
        ({"name": "a\x00", "value": ""}, "name-invalid"),
        ({"kind": "environment", "name": "A-B", "value": ""}, "name-invalid"),
        ({"kind": "shell", "name": "a", "value": ""}, "invalid-request"),
        (
            {"kind": "environment", "name": "A", "value": "", "is_expression": True},
            "variable-invalid",
        ),
        ({"name": "a", "value": "x", "type": "json"}, "invalid-request"),
        ({"name": "a", "value": "five", "type": "number"}, "variable-invalid"),
        ({"name": "a", "value": "05", "type": "number"}, "variable-invalid"),
        ({"name": "a", "value": "yes", "type": "bool"}, "variable-invalid"),
        ({"name": "a", "value": "[1,", "type": "hcl"}, "variable-invalid"),
        ({"name": "a", "value": " ", "type": "hcl"}, "variable-invalid"),
        ({"name": "a", "value": "1\nb = 2", "type": "hcl"}, "variable-invalid"),
        ({"name": "a", "value": "1) b = (2", "type": "hcl"}, "variable-invalid"),
        ({"name": "a", "value": "1", "type": "number", "is_expression": True}, "variable-invalid"),
        ({"name": "A", "value": "1", "type": "hcl", "kind": "environment"}, "variable-invalid"),
        ({"name": "a", "value": "1", "type": "file", "kind": "backend_config"}, "variable-invalid"),
    ],
)
def test_a_wrong_body_is_refused(
    boss: Caller, variables: str, body: dict[str, Any], code: str
) -> None:
    refused(boss.post(variables, body), 422, code)

    assert boss.get(variables).json["items"] == []


@one_database
@pytest.mark.parametrize(
    ("value_type", "value"),
    [
        ("number", "-2.5e3"),
        ("bool", "false"),
        ("file", "-----BEGIN\nkey\n"),
        ("hcl", '{ a = [1, "x"], "b" = null } # so'),
        ("hcl", "{ ä = 1 }"),
        ("hcl", "[" * 200 + "]" * 200),
        ("hcl", "[" + ", ".join(["1"] * 20_000) + "]"),
    ],
)
def test_a_value_of_each_type_is_taken(
    boss: Caller, variables: str, value_type: str, value: str
) -> None:
    made = boss.made(variables, {"name": "a", "value": value, "type": value_type})

    assert (made["value"], made["type"]) == (value, value_type)
    assert made["is_expression"] is (value_type == "hcl")


def test_is_expression_is_still_the_type_hcl(boss: Caller, variables: str) -> None:
    path = f"{variables}/terraform/a"

    made = boss.put(path, {"value": "[1]", "is_expression": True}).json
    changed = boss.patch(path, {"value": "x", "is_expression": False}).json
    numbered = boss.patch(path, {"value": "5", "type": "number"}).json
    kept = boss.patch(path, {"is_expression": False}).json
    replaced = boss.put(path, {"value": "5"}).json

    found = [one["type"] for one in (made, changed, numbered, kept, replaced)]
    assert found == ["hcl", "string", "number", "number", "string"]


def test_another_type_has_to_fit_the_value_that_is_there(boss: Caller, variables: str) -> None:
    boss.made(variables, {"name": "a", "value": "five"})
    path = f"{variables}/terraform/a"

    refused(boss.patch(path, {"type": "number"}), 422, "variable-invalid")
    fine = boss.patch(path, {"value": "5", "type": "number"}).json

    assert (fine["type"], fine["value"]) == ("number", "5")


@one_database
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"value": "short", "sensitive": True}, "too short to be hidden"),
        ({"value": f"{SECRET}\n", "sensitive": True}, "line break at its end"),
        ({"value": "one line\n"}, "line break at its end"),
        ({"value": f" {SECRET}", "sensitive": True}, "begins or ends with a space"),
        ({"value": "x", "kind": "environment", "name": "TF_HTTP_USERNAME"}, "does not get it"),
    ],
)
def test_who_sets_a_value_that_cannot_do_what_is_hoped_is_warned(
    boss: Caller, variables: str, body: dict[str, Any], words: str
) -> None:
    made = boss.made(variables, {"name": "A", **body})

    [warning] = made["warnings"]
    assert words in warning
    assert SECRET not in warning


@one_database
@pytest.mark.parametrize("value", [SECRET, "one\ntwo\n", "-----BEGIN KEY-----\nabc\n"])
def test_a_usual_secret_has_no_warning(boss: Caller, variables: str, value: str) -> None:
    assert boss.made(variables, {"name": "a", "value": value, "sensitive": True})["warnings"] == []


def test_a_variable_is_deleted(boss: Caller, variables: str) -> None:
    boss.made(variables, {"name": "a", "value": "b"})

    assert boss.delete(f"{variables}/terraform/a").status_code == 204

    refused(boss.delete(f"{variables}/terraform/a"), 404, "not-found")


@one_database
@pytest.mark.parametrize("verb", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_stranger_and_a_missing_variable_get_404(
    boss: Caller, variables: str, stranger: Caller, verb: str
) -> None:
    boss.made(variables, {"name": "a", "value": "b"})
    body: dict[str, Any] = {} if verb in {"GET", "DELETE"} else {"json": {"value": "c"}}

    refused(stranger.call(verb, f"{variables}/terraform/a", **body), 404, "not-found")
    refused(boss.call(verb, f"{variables}/var_nothing", **body), 404, "not-found")
    assert boss.get(f"{variables}/terraform/a").json["value"] == "b"


@one_database
def test_a_stranger_neither_lists_nor_adds_variables(variables: str, stranger: Caller) -> None:
    refused(stranger.get(variables), 404, "not-found")
    refused(stranger.post(variables, {"name": "a", "value": "b"}), 404, "not-found")
