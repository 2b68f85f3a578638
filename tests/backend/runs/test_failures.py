"""Every code with which a run may end is explained, once, and its next step can be typed."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest

from backend.runs import failures
from runner.recipes import context
from runner.sources import repository
from runner.tools import commands, provider_failures
from runner.tools import failures as of_tools
from stateroom.main import main
from tests.support import failures_page
from tests.support.project import ROOT

FOLDERS = ("runner", "execution", "backend/runs")
RAISED = re.compile(r"(Runner|Source|Detection|Tool|Transfer)Error|Stopped|Refusal|_Known")
# an explanation of git takes its pattern first, and of the tools their words
SECOND = {"Refusal", "_Known"}
CODE = re.compile(r"[a-z]+(-[a-z0-9]+)*")
# what the server refuses a run, or the worker, with a code of its own
OF_THE_SERVER = {
    *("quota-states", "quota-state-size", "quota-versions", "history-full", "workspace-frozen"),
    *("backend-shared", "backend-busy", "state-deleted", "state-purged", "gone", "too-large"),
    *("lineage-mismatch", "serial-reused", "serial-too-low", "serial-too-high"),
    *("state-not-json", "state-truncated", "state-empty", "body-missing", "rescued-undecided"),
    *("rule-broken", "rules-unreadable"),
    *("row-changed", "unreadable", "blob-missing", "unknown-key", "unavailable", "disk-full"),
    *(
        "variable-unreadable",
        "key-unreadable",
        "backend-locked",
        "server-unavailable",
        "worker-stopped",
    ),
}
NEVER_ON_A_RUN = {"fenced", "run-moved", "run-cancel-asked", "ssh-key-format"}


def test_every_code_that_a_run_may_end_with_is_in_the_catalogue_and_nothing_else() -> None:
    told = {*_raised(), *OF_THE_SERVER} - NEVER_ON_A_RUN

    assert told - {*failures.catalogue()} == set()
    assert {*failures.catalogue()} - told == set()


def test_the_page_has_every_failure_as_the_program_tells_it() -> None:
    text = failures_page.PAGE.read_text(encoding="utf-8")

    assert text.endswith(failures_page.tables()), "`make failures` writes it"


@pytest.mark.parametrize("code", sorted(failures.catalogue()))
def test_every_next_step_names_commands_and_options_that_exist(code: str) -> None:
    for step in failures.catalogue()[code].steps:
        for command in re.findall(r"`stateroom ([^`]*)`", failures.filled(step, {})):
            _check(shlex.split(command.replace("…", "")))


def test_every_last_sentence_needs_no_fact() -> None:
    places = {"project", "workspace", "template", "run", "operation"}

    for code, failure in failures.catalogue().items():
        needed = set(re.findall(r"{(\w+)}", failure.steps[-1])) - places
        assert needed <= {"place", "setting", "tool"}, code


def test_a_command_is_told_once_for_each_of_several_names() -> None:
    known = {"variables": ["region", "zone"], "project": "shop", "workspace": "network"}
    known |= {"run": "run_1"}

    told = failures.sentence("variable-missing", known)

    for name in ("region", "zone"):
        assert f"`stateroom variables set -p shop -w network {name}`" in told


def test_what_others_wrote_stays_one_word_of_a_command_and_makes_none() -> None:
    known = {"place": "a; rm -rf ~", "holder": "`x`", "project": "shop"}

    key = failures.sentence("host-key-unknown", known)
    lock = failures.sentence("state-locked", known)

    assert "scan -p shop 'a; rm -rf ~'`" in key
    assert "`x`" not in lock


def _raised() -> Iterator[str]:
    """The codes that our own code writes, wherever it does so."""
    for folder in FOLDERS:
        for file in (ROOT / folder).rglob("*.py"):
            yield from _in_file(file)
    yield from (f"{step}-failed" for step in get_args(commands.StepName))
    yield from (known.code for known in of_tools._KNOWN)
    yield from provider_failures.CODES
    yield from (refusal.code for refusal in repository._REFUSALS)
    yield from (code for code, _, _ in context._LIMITS.values())


def _in_file(file: Path) -> Iterator[str]:
    for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(call, ast.Call):
            continue
        name = ast.unparse(call.func).rpartition(".")[2]
        given = call.args[name in SECOND :][:1] if RAISED.fullmatch(name) else []
        given += [word.value for word in call.keywords if word.arg == "error_code"]
        for value in given:
            if isinstance(value, ast.Constant) and CODE.fullmatch(str(value.value)):
                yield str(value.value)


def _check(words: list[str]) -> None:
    command: click.Command = main
    context = click.Context(command)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None
        command, context = found, click.Context(found, parent=context)
    options = {
        option for param in command.params for option in (*param.opts, *param.secondary_opts)
    }
    assert [word for word in words if word.startswith("-")] == [
        word for word in words if word in options
    ]
