from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.documents import state_document
from tests.support.place import Place

OUTPUTS: dict[str, Any] = {
    "greeting": {"value": "hello", "type": "string"},
    "count": {"value": 3, "type": "number"},
    "zones": {"value": ["a", "b"], "type": ["tuple", ["string", "string"]]},
    "password": {"value": "hunter2", "type": "string", "sensitive": True},
}


@pytest.fixture
def written(cli: CommandLine, place: Place) -> CommandLine:
    """The command line, with outputs in the state of the workspace `first`."""
    place.state.write(json.dumps(json.loads(state_document()) | {"outputs": OUTPUTS}).encode())
    return cli


def test_the_outputs_are_a_table_without_secrets(written: CommandLine) -> None:
    said = written.must("outputs", "first")

    assert said == (
        "NAME      VALUE\n"
        "count     3\n"
        'greeting  "hello"\n'
        "password  <sensitive>\n"
        'zones     ["a", "b"]\n'
    )


def test_for_programs_they_are_one_object_as_terraforms(written: CommandLine) -> None:
    [found] = written.json("outputs", "first")

    assert found["greeting"] == {"value": "hello", "type": "string", "sensitive": False}
    assert found["password"] == {"value": None, "type": "string", "sensitive": True}


def test_one_output_is_asked_for_by_its_name(written: CommandLine) -> None:
    assert written.must("outputs", "first", "greeting") == '"hello"\n'
    assert written.must("outputs", "first", "zones", "--json") == '["a", "b"]\n'
    assert written.must("outputs", "first", "greeting", "--raw") == "hello"
    assert written.must("outputs", "first", "count", "--raw") == "3"


def test_a_sensitive_output_is_shown_by_its_name_to_who_may_read_the_state(
    written: CommandLine, place: Place
) -> None:
    scopes = {"name": "reader", "scopes": ["outputs:read"]}
    reader = place.api.post(f"/projects/{place.project}/tokens", **scopes)["secret"]

    refused = written.run("outputs", "first", "password", STATEROOM_TOKEN=reader)
    allowed = written.run("outputs", "first", "greeting", "--raw", STATEROOM_TOKEN=reader)

    assert written.must("outputs", "first", "password", "--raw") == "hunter2"
    assert (refused.exit_code, allowed.stdout) == (1, "hello")
    assert "hunter2" not in refused.output


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        (("nothing",), 1, "There is no output 'nothing'. There is: count, greeting, password,"),
        (("zones", "--raw"), 2, "use --json"),
        (("--raw",), 2, "--raw needs the NAME"),
    ],
)
def test_what_is_not_there_is_refused(
    written: CommandLine, asked: tuple[str, ...], status: int, told: str
) -> None:
    done = written.run("outputs", "first", *asked)

    assert done.exit_code == status
    assert told in done.stderr
    assert done.stdout == ""


def test_a_workspace_that_was_never_written_has_none(cli: CommandLine) -> None:
    assert cli.must("outputs", "first") == "NAME  VALUE\n"
    assert cli.json("outputs", "first") == [{}]
