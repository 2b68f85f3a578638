from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.documents import state_document
from tests.support.place import Place
from tests.support.processes import wait_until


@pytest.fixture
def exported(cli: CommandLine, place: Place, tmp_path: Path) -> Path:
    """The whole log of the installation, with enough entries for what is done to it."""
    file = tmp_path / "audit.jsonl"
    for serial in range(1, 9):
        place.state.write(state_document(serial, lineage="one"))
    wait_until(lambda: _lines_of_export(cli, file) > 8, "the entries to be chained")
    return file


def _lines_of_export(cli: CommandLine, file: Path) -> int:
    cli.must("audit", "export", str(file))
    return len(file.read_text(encoding="utf-8").splitlines())


def test_the_log_of_a_project_is_listed(cli: CommandLine, place: Place) -> None:
    place.state.write(state_document())
    place.state.read()

    rows = cli.table("audit", "list", "-p", place.project, "--action", "state.")

    assert [(row["PRINCIPAL"], row["ACTION"]) for row in rows] == [
        ("administrator", "state.read"),
        ("administrator", "state.write"),
    ]
    assert rows[0]["DETAIL"] == "number=1"


def test_what_a_client_said_of_itself_cannot_move_the_cursor(
    cli: CommandLine, place: Place
) -> None:
    place.state.lock({"ID": "l", "Who": "w\x1b[2J\nx"})

    said = cli.must("audit", "list", "-p", place.project, "--action", "lock")

    assert "\x1b" not in said
    assert place.state.lock({"ID": "l\x1b[2J\nx"}).status == 400


def test_a_list_is_limited_and_filtered(cli: CommandLine, place: Place) -> None:
    few = cli.json("audit", "list", "--limit", "2")
    long_ago = cli.json("audit", "list", "--until", "2001-01-01")

    assert len(few) == 2
    assert long_ago == []


def test_an_export_is_whole_and_checked_without_a_server(cli: CommandLine, exported: Path) -> None:
    lines = exported.read_text(encoding="utf-8").splitlines()
    last = json.loads(lines[-1])

    offline = {"STATEROOM_URL": "http://127.0.0.1:1", "STATEROOM_TOKEN": None}
    done = cli.run("audit", "verify", str(exported), "--json", **offline)

    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["verified"], found["missing"], found["broken"]) == (len(lines), 0, None)
    assert found["head"] == f"{last['number']}:{last['hash']}"


def test_an_export_goes_to_standard_output_too(cli: CommandLine, place: Place) -> None:
    said = cli.must("audit", "export", "-", "-p", place.project)

    assert {json.loads(line)["action"] for line in said.splitlines()} >= {"project.create"}


def test_an_export_of_a_project_is_checked_with_its_gaps(
    cli: CommandLine, place: Place, tmp_path: Path
) -> None:
    file = tmp_path / "audit.jsonl"
    place.api.post("/projects", name=f"{place.project}-other")
    cli.must("audit", "export", str(file), "-p", place.project)

    assert cli.run("audit", "verify", str(file)).exit_code == 1
    [found] = cli.json("audit", "verify", str(file), "--filtered")
    assert found["broken"] is None
    assert found["missing"] > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [*lines[:3], _changed(lines[3]), *lines[4:]], "entry 4 was changed"),
        (lambda lines: [*lines[:3], *lines[4:]], "entry 4 is missing"),
        (lambda lines: [*lines[:3], *lines[5:]], "entries 4 to 5 are missing"),
        (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], "entry 4 is missing"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "the order is wrong"),
        (lambda lines: [*lines[:3], _moved(lines[6], 4), *lines[3:]], "inserted"),
        (lambda lines: [*lines[:3], "{}", *lines[3:]], "Line 4 is not a line of an exported"),
        (lambda lines: lines[1:], "entry 1 is missing"),
    ],
)  # fmt: skip
def test_whatever_is_done_to_an_export_is_found(
    cli: CommandLine, exported: Path, change: Any, said: str
) -> None:
    lines = exported.read_text(encoding="utf-8").splitlines()
    assert len(lines) > 7

    exported.write_text("\n".join(change(lines)) + "\n", encoding="utf-8")

    done = cli.run("audit", "verify", str(exported))
    assert done.exit_code == 1
    assert said in done.stdout


def _changed(line: str) -> str:
    return json.dumps(json.loads(line) | {"principal": "somebody"})


def _moved(line: str, number: int) -> str:
    return json.dumps(json.loads(line) | {"number": number})


def test_an_export_without_its_end_is_found_by_a_head_that_was_noted(
    cli: CommandLine, exported: Path
) -> None:
    [whole] = cli.json("audit", "verify", str(exported))
    lines = exported.read_text(encoding="utf-8").splitlines()
    exported.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")

    assert cli.run("audit", "verify", str(exported)).exit_code == 0
    done = cli.run("audit", "verify", str(exported), "--head", whole["head"])
    assert done.exit_code == 1
    assert "noted as the head" in done.stdout


def test_the_server_links_what_is_new_and_verifies_its_chain(
    cli: CommandLine, place: Place
) -> None:
    place.state.write(state_document())
    wait_until(lambda: not cli.json("audit", "verify")[0]["unlinked"], "every entry to be linked")

    [found] = cli.json("audit", "verify")
    again = cli.must("audit", "verify", "--head", found["head"])
    missed = cli.run("audit", "verify", "--head", f"1:{'0' * 64}")

    assert found["ok"] is True
    assert "broken:          -" in again
    assert missed.exit_code == 1
    assert "made anew" in missed.stdout
