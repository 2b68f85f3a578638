"""Pressing Tab, in real shells."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.place import Place
from tests.support.processes import wait_until
from tests.support.required import required


@pytest.fixture
def exported(cli: CommandLine) -> dict[str, str]:
    """What somebody's shell has, with the `stateroom` of these tests first on PATH."""
    given = {name: value for name, value in cli.exported.items() if value}
    given.pop("STATEROOM_WORKSPACE")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return given | {"PATH": path, "TERM": "dumb", "HOME": "/nonexistent", "LANG": "C.UTF-8"}


def _said(argv: list[str], exported: dict[str, str]) -> str:
    done = subprocess.run(
        argv, env=exported, capture_output=True, text=True, check=True, timeout=90
    )
    assert done.stderr == ""
    return done.stdout


def _bash(words: str, exported: dict[str, str]) -> list[str]:
    """What Tab offers after these words, the last of which is incomplete."""
    script = (
        "source <(stateroom completion bash); "
        f"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); "
        '_stateroom_completion stateroom; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return _said([required("bash"), "--norc", "-c", script], exported).split()


def _bash_offers(words: str, exported: dict[str, str], offered: set[str]) -> None:
    """Completion says nothing while a busy server keeps it waiting: then it is asked again."""
    wait_until(lambda: offered == set(_bash(words, exported)), f"{offered} to be offered")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ('stateroom workspaces show ""', {"first"}),
        ("stateroom workspaces show f", {"first"}),
        ("stateroom workspaces show g", set()),
        ('stateroom templates delete ""', {"module"}),
        ("stateroom runs queue --workspace f", {"first"}),
        ("stateroom outp", {"outputs"}),
        ("stateroom runs list --stat", {"--status"}),
    ],
)
def test_bash_offers_commands_and_names(
    exported: dict[str, str], words: str, offered: set[str]
) -> None:
    _bash_offers(words, exported, offered)


def test_bash_offers_projects_and_what_is_in_them(place: Place, exported: dict[str, str]) -> None:
    run = place.queue()
    project = exported.pop("STATEROOM_PROJECT")

    _bash_offers(f"stateroom states list -p {project[:-2]}", exported, {project})
    _bash_offers(f'stateroom runs show -p {project} ""', exported, {"latest", run.id})


def test_a_name_is_offered_however_many_there_are(place: Place, exported: dict[str, str]) -> None:
    for number in range(201):
        place.api.post(f"/projects/{place.project}/workspaces", name=f"many-{number:03}")

    _bash_offers("stateroom workspaces show many-20", exported, {"many-200"})


@pytest.mark.parametrize(
    "wrong", [{"STATEROOM_URL": "http://127.0.0.1:9"}, {"STATEROOM_TOKEN": "wrong"}]
)
def test_without_an_answer_nothing_is_offered_and_nothing_is_said(
    exported: dict[str, str], wrong: dict[str, str]
) -> None:
    assert _bash('stateroom workspaces show ""', exported | wrong) == []


def test_fish_offers_names(exported: dict[str, str], tmp_path: Path) -> None:
    script = 'source (stateroom completion fish | psub); complete -C "stateroom workspaces show "'

    said = _said(
        [required("fish"), "--no-config", "-c", script], exported | {"HOME": str(tmp_path)}
    )

    assert said == "first\n"


def test_zsh_completes_names(exported: dict[str, str], tmp_path: Path) -> None:
    shell = _Terminal([required("zsh"), "-f", "-i"], exported | {"HOME": str(tmp_path)})

    shell.types("autoload -U compinit; compinit -u -D; source <(stateroom completion zsh)\r")
    shell.types("echo re''ady\r", until="ready")
    shell.types("stateroom workspaces show \t", until="first")


class _Terminal:
    """A program at a terminal, and somebody who types."""

    def __init__(self, argv: list[str], exported: dict[str, str]) -> None:
        self._child, self._end = pty.fork()
        if self._child == 0:
            os.execve(argv[0], argv, exported)

    def types(self, text: str, until: str = "") -> None:
        """Type the text, and wait until the terminal shows what is expected of it."""
        os.write(self._end, text.encode())
        shown, deadline = "", time.monotonic() + 60
        while until not in shown:
            assert time.monotonic() < deadline, shown
            shown += os.read(self._end, 4096).decode(errors="replace")
