from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from stateroom.main import main
from tests.support.command_line import CommandLine
from tests.support.documents import encrypted_document, state_document
from tests.support.place import Place


def document(serial: int, **resources: dict[str, Any]) -> bytes:
    """A state with these resources, each with its attributes."""
    made = json.loads(state_document(serial, lineage="l", outputs={"serial": str(serial)}))
    made["resources"] = [
        {"mode": "managed", "type": "box", "name": name, "instances": [{"attributes": attributes}]}
        for name, attributes in resources.items()
    ]
    return json.dumps(made).encode()


@pytest.fixture
def two_versions(place: Place) -> None:
    place.state.write(document(1, a={"size": 1}, b={"password": "s3cret-1", "size": 1}))
    place.state.write(document(2, b={"password": "s3cret-2", "text": "x" * 200}, c={"size": 1}))


def test_a_diff_reads_like_a_plan(cli: CommandLine, two_versions: None) -> None:
    lines = cli.must("states", "diff").splitlines()

    assert lines == [
        "1 -> 2",
        "- box.a",
        "~ box.b",
        "    ~ password: (sensitive) changed",
        "    - size: 1",
        f'    + text: "{"x" * 79}… (202 letters)',
        "+ box.c",
        'output ~ serial: "1" -> "2"',
        "Resources: 1 added, 1 changed, 1 removed, 0 unchanged.",
    ]


def test_a_diff_has_colours_on_a_terminal(cli: CommandLine, two_versions: None) -> None:
    done = CliRunner().invoke(main, ["states", "diff"], env=cli.exported, color=True)

    assert "\x1b[32m+ box.c\x1b[0m" in done.stdout


def test_any_two_versions_are_compared(cli: CommandLine, two_versions: None) -> None:
    [found] = cli.json("states", "diff", "2", "1")

    assert (found["from_version"], found["to_version"]) == (2, 1)
    assert [resource["address"] for resource in found["added"]] == ["box.a"]
    assert "s3cret" not in json.dumps(found)
    assert "No resource" in cli.must("states", "diff", "2", "2")


def test_the_first_version_is_compared_with_nothing(cli: CommandLine, place: Place) -> None:
    place.state.write(document(1, a={}))

    assert cli.must("states", "diff").splitlines()[:2] == ["nothing -> 1", "+ box.a"]


def test_what_a_state_holds_cannot_move_the_cursor(cli: CommandLine, place: Place) -> None:
    place.state.write(document(1, a={"x\x1b[2J": "1\x1b[2J"}))
    place.state.write(document(2, a={"x\x1b[2J": "2\x1b[2J"}))

    assert "\x1b" not in cli.must("states", "diff")


def test_a_state_that_opentofu_sealed_is_refused_in_one_line(
    cli: CommandLine, place: Place
) -> None:
    place.state.write(encrypted_document())

    done = cli.run("states", "diff")

    assert done.exit_code == 1
    assert "passphrase" in done.stderr
    assert done.stderr.count("\n") == 1
