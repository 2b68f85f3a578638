"""The variables of a run that is queued: as options, from a file, or asked for at a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.installations import Installations
from tests.support.place import Place
from tests.support.project import ROOT

SECRET = "correct-horse-battery"
SURVEY = [
    {"name": "size", "type": "number", "title": "How many?"},
    {"name": "stage", "type": "choice", "choices": ["dev", "prod"]},
    {"name": "password", "sensitive": True},
]


@pytest.fixture
def place(installations: Installations) -> Place:
    """A project whose template has a survey, and whose runs stay in the queue."""
    made = installations.place()
    made.api.patch(f"/projects/{made.project}/templates/module", survey=SURVEY)
    return made


def given_to(cli: CommandLine, place: Place) -> dict[str, str | None]:
    """The variables of the newest run."""
    [run, *_] = cli.json("runs", "list")
    found = place.api.get(f"/projects/{place.project}/runs/{run['id']}/variables")
    return {one["name"]: one["value"] for one in found["items"]}


def answer(terminal: int, question: str, text: str) -> str:
    """Type the text once the question is there. What was to be seen until then."""
    seen = b""
    while question.encode() not in seen:
        ready, _, _ = select.select([terminal], [], [], 60)
        assert ready, seen
        seen += os.read(terminal, 4096)
    os.write(terminal, f"{text}\n".encode())
    return seen.decode()


def test_answers_are_options_or_in_a_file(cli: CommandLine, place: Place, tmp_path: Path) -> None:
    file = tmp_path / "answers.json"
    file.write_text(json.dumps({"size": 3, "password": SECRET, "other": ["a"]}))

    cli.must("runs", "queue", "--operation=plan", "--var", "stage=prod", "--var-file", str(file))

    assert given_to(cli, place) == {
        "size": "3", "stage": "prod", "password": None, "other": '["a"]',
    }  # fmt: skip


def test_who_cannot_be_asked_is_told_what_is_missing(cli: CommandLine) -> None:
    refused = cli.run("runs", "queue", "--operation=plan", "--var", "stage=dev")
    wrong = cli.run("runs", "queue", "--operation=plan", "--var", "stage=x")

    assert refused.exit_code == 2
    assert "  size  number  How many?\n  password  string\n" in refused.stderr
    assert "--var-file" in refused.stderr
    assert wrong.exit_code == 1
    assert "variables.stage: It has to be one of dev, prod" in wrong.stderr
    assert cli.json("runs", "list") == []


@pytest.mark.parametrize("wrong", ["size", "=3", "shell/size=3"])
def test_what_is_no_variable_is_wrong_usage(cli: CommandLine, wrong: str) -> None:
    assert cli.run("runs", "queue", "--var", wrong).exit_code == 2


def test_at_a_terminal_what_is_missing_is_asked_and_a_secret_is_not_seen(
    cli: CommandLine, place: Place
) -> None:
    exported = {n: v for n, v in (os.environ | cli.exported).items() if v is not None}
    argv = [sys.executable, "-m", "stateroom", "runs", "queue", "--operation=plan"]
    outer, inner = pty.openpty()
    with subprocess.Popen(
        argv, stdin=inner, stdout=subprocess.PIPE, stderr=inner, env=exported, cwd=ROOT
    ) as asked:
        os.close(inner)
        answer(outer, "How many?", "3")
        seen = answer(outer, "(dev, prod)", "prod")
        seen += answer(outer, "password", SECRET)
        asked.communicate(timeout=60)
    os.close(outer)

    assert asked.returncode == 0, seen
    assert SECRET not in seen
    assert given_to(cli, place) == {"size": "3", "stage": "prod", "password": None}
