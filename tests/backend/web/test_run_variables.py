"""Variables of runs: what a survey asks for, and what may be given beyond it."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from tests.support.caller import Caller, refused
from tests.support.databases import one_database

SECRET = "hunter2-hunter2"
SIZE = {"name": "size", "type": "number", "title": "How many?"}
COLOUR = {"name": "colour", "type": "choice", "choices": ["red", "blue"], "default": "red"}
ZONES = {"name": "zones", "type": "choices", "choices": ["a", "b", "${c}"], "required": False}
PASSWORD = {"name": "password", "sensitive": True, "required": False}
HOST = {"name": "host", "pattern": "[a-z]+[.]example", "required": False}
LEVEL = {"name": "LEVEL", "kind": "environment", "required": False}
DEBUG = {"name": "debug", "type": "bool", "required": False}
SURVEY: list[dict[str, Any]] = [SIZE, COLOUR, ZONES, PASSWORD, HOST, LEVEL, DEBUG]


@pytest.fixture
def template(shop: str) -> str:
    return f"{shop}/templates/app"


@pytest.fixture
def asking(boss: Caller, template: str) -> Caller:
    """Somebody who may queue plans of a template with a survey, and read runs."""
    assert boss.patch(template, {"survey": SURVEY}).status_code == 200
    return boss.with_scopes("runs:create", "runs:read", project="shop")


def plan(caller: Caller, **variables: Any) -> Any:
    """Queue a plan with these variables for terraform."""
    given = [{"name": name, "value": value} for name, value in variables.items()]
    return queued(caller, given)


def queued(caller: Caller, given: list[dict[str, Any]], operation: str = "plan") -> Any:
    path = "/projects/shop/workspaces/app/runs"
    return caller.post(path, {"operation": operation, "variables": given})


def effective(caller: Caller, run: str) -> dict[str, tuple[Any, str, str]]:
    path = "/projects/shop/workspaces/app/variables/effective"
    found: Any = caller.call("GET", path, query_string={"run": run}).json
    return {
        one["name"]: (one["value"], one["type"], one["source"]["kind"]) for one in found["items"]
    }


def test_a_survey_is_kept_as_it_was_written(boss: Caller, template: str) -> None:
    changed = boss.patch(template, {"survey": SURVEY, "free_variables": True}).json

    assert [question["name"] for question in changed["survey"]] == [q["name"] for q in SURVEY]
    assert changed["survey"][0] == {
        **SIZE, "kind": "terraform", "description": "", "choices": [], "required": True,
        "default": None, "pattern": None, "sensitive": False,
    }  # fmt: skip
    assert boss.get(template).json == changed
    assert boss.patch(template, {"survey": []}).json["survey"] == []


def test_answers_become_variables_of_their_types(asking: Caller) -> None:
    run = plan(asking, size="3", zones="b, a", host="web.example", debug="true").json

    found = effective(asking, run["id"])
    assert found == {
        "size": ("3", "number", "survey"),
        "colour": ("red", "string", "template"),
        "zones": ('["a", "b"]', "hcl", "survey"),
        "host": ("web.example", "string", "survey"),
        "debug": ("true", "bool", "survey"),
    }
    listed = asking.get(f"/projects/shop/runs/{run['id']}/variables").json["items"]
    assert [one["name"] for one in listed] == ["debug", "host", "size", "zones"]


def test_a_list_may_be_json_and_holds_no_template(asking: Caller) -> None:
    run = plan(asking, size="3", zones='["${c}"]').json

    assert effective(asking, run["id"])["zones"][0] == '["$${c}"]'


def test_an_answer_wins_over_the_workspace_and_its_default_does_not(
    boss: Caller, asking: Caller, app_workspace: str
) -> None:
    for name in ("colour", "size"):
        boss.made(f"{app_workspace}/variables", {"name": name, "value": f"own {name}"})

    run = plan(asking, size="5").json

    found = effective(asking, run["id"])
    assert found["size"] == ("5", "number", "survey")
    assert found["colour"] == ("own colour", "string", "workspace")


def test_what_the_workspace_or_a_set_has_need_not_be_answered(
    boss: Caller, asking: Caller, shop: str, app_workspace: str
) -> None:
    refused(plan(asking), 422, "survey-invalid")
    boss.made(f"{shop}/variable-sets", {"name": "common"})
    boss.made(f"{shop}/variable-sets/common/variables", {"name": "size", "value": "3"})
    boss.patch(app_workspace, {"variable_sets": ["common"]})

    assert plan(asking).status_code == 201


def test_what_is_wrong_is_named_with_its_rule_before_anything_is_queued(asking: Caller) -> None:
    problem = refused(
        plan(asking, colour="green", zones="a,x", host="web.other", debug="yes"),
        *(422, "survey-invalid"),
    )

    found = {one["field"]: one["message"] for one in problem["errors"]}
    assert found == {
        "body.variables.size": "A value is required",
        "body.variables.colour": "It has to be one of red, blue",
        "body.variables.zones": "It has to be a list of some of a, b, ${c}",
        "body.variables.host": "It has to match the pattern [a-z]+[.]example",
        "body.variables.debug": "The value of a bool is true or false",
    }
    assert [question["name"] for question in problem["missing"]] == ["size"]
    assert "variables.size: A value is required" in problem["detail"]
    assert asking.get("/projects/shop/runs").json["items"] == []


@one_database
@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"name": "size", "value": "3", "type": "string"}, "survey-invalid"),
        ({"name": "size", "value": ""}, "survey-invalid"),
        ({"name": "size", "value": "3", "is_expression": False}, "survey-invalid"),
    ],
)
def test_an_answer_has_the_type_of_its_question(
    asking: Caller, given: dict[str, Any], code: str
) -> None:
    refused(queued(asking, [given]), 422, code)
    assert queued(asking, [{"name": "size", "value": "3", "type": "number"}]).status_code == 201


@one_database
def test_a_variable_is_given_once(asking: Caller) -> None:
    refused(queued(asking, [{"name": "size", "value": "3"}] * 2), 422, "variable-invalid")


def test_a_pattern_that_takes_for_ever_ends(boss: Caller, template: str) -> None:
    slow = {"name": "x", "pattern": "(a+)+b"}
    boss.patch(template, {"survey": [slow]})

    refused(plan(boss, x="a" * 60), 422, "pattern-too-slow")


def test_a_sensitive_answer_is_sealed_and_never_shown(asking: Caller, app: Flask) -> None:
    run = plan(asking, size="3", password=SECRET).json

    assert effective(asking, run["id"])["password"] == (None, "string", "survey")
    listed = asking.get(f"/projects/shop/runs/{run['id']}/variables")
    assert SECRET not in listed.get_data(as_text=True)
    with app.extensions["stateroom"].database.reading() as db:
        kept = db.execute(text("SELECT value FROM variables")).scalars().all()
        audited = db.execute(text("SELECT detail FROM audit_entries")).scalars().all()
    assert SECRET.encode() not in b"".join(map(bytes, kept))
    assert SECRET not in str(audited)
    assert "terraform/password" in str(audited)


@pytest.mark.parametrize(
    "extra",
    [
        {"name": "other", "value": "1"},
        {"name": "AWS_PROFILE", "value": "1", "kind": "environment"},
        {"name": "bucket", "value": "1", "kind": "backend_config"},
    ],
)
@one_database
def test_more_than_the_survey_asks_for_needs_templates_manage(
    boss: Caller, asking: Caller, extra: dict[str, Any]
) -> None:
    given = [{"name": "size", "value": "3"}, extra]

    problem = refused(queued(asking, given), 403, "scope-missing")

    assert "does not ask for the variable" in problem["detail"]
    assert queued(boss, given).status_code == 201


@one_database
def test_free_variables_are_those_of_terraform_alone(
    boss: Caller, asking: Caller, template: str
) -> None:
    boss.patch(template, {"free_variables": True})
    other = {"name": "other", "value": "[1]", "type": "hcl", "sensitive": True}
    size = {"name": "size", "value": "3"}

    run = queued(asking, [size, other]).json
    for kind in ("environment", "backend_config"):
        given = [size, {"name": "X", "value": "1", "kind": kind}]
        refused(queued(asking, given), 403, "scope-missing")

    assert effective(asking, run["id"])["other"] == (None, "hcl", "run")


@one_database
@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ({"name": "PATH", "value": "/evil", "kind": "environment"}, "variable-reserved"),
        ({"name": "a b", "value": "x"}, "name-invalid"),
        ({"name": "a", "value": "x", "type": "number"}, "variable-invalid"),
    ],
)
def test_nobody_gives_a_run_what_no_variable_can_be(
    boss: Caller, asking: Caller, extra: dict[str, Any], code: str
) -> None:
    assert asking
    refused(queued(boss, [{"name": "size", "value": "3"}, extra]), 422, code)


@one_database
def test_a_transfer_needs_no_answers(boss: Caller, asking: Caller) -> None:
    assert asking
    assert queued(boss, [], "import-state").status_code == 201


@one_database
@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({"name": "a b"}, "name"),
        ({"name": "PATH", "kind": "environment"}, "name"),
        ({"name": "a", "type": "choice"}, "choices"),
        ({"name": "a", "choices": ["x"]}, "choices"),
        ({"name": "a", "type": "choices", "choices": ["x,y"]}, "choices"),
        ({"name": "a", "type": "choices", "choices": ["x"], "kind": "environment"}, "type"),
        ({"name": "a", "type": "number", "default": "five"}, "default"),
        ({"name": "a", "type": "choice", "choices": ["x"], "default": "y"}, "default"),
        ({"name": "a", "default": "x", "sensitive": True}, "default"),
        ({"name": "a", "type": "number", "pattern": "1"}, "pattern"),
        ({"name": "a", "pattern": "("}, "pattern"),
        ({"name": "a", "pattern": "b+", "default": "c"}, "default"),
    ],
)
def test_a_survey_that_contradicts_itself_is_refused(
    boss: Caller, template: str, question: dict[str, Any], field: str
) -> None:
    problem = refused(boss.patch(template, {"survey": [question]}), 422, "survey-invalid")

    assert [one["field"] for one in problem["errors"]] == [f"body.survey.0.{field}"]
    assert boss.get(template).json["survey"] == []


@one_database
def test_a_question_is_asked_once(boss: Caller, template: str) -> None:
    problem = refused(boss.patch(template, {"survey": [SIZE, SIZE]}), 422, "survey-invalid")

    assert problem["errors"][0]["field"] == "body.survey.1.name"


@one_database
def test_the_variables_of_a_run_are_for_its_project(asking: Caller, stranger: Caller) -> None:
    run = plan(asking, size="3").json["id"]

    refused(stranger.get(f"/projects/shop/runs/{run}/variables"), 404, "not-found")
    refused(asking.get("/projects/shop/runs/run_nothing/variables"), 404, "not-found")
