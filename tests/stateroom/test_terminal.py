"""What a person sees at a terminal."""

from __future__ import annotations

import os
import pty
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from stateroom.main import REMOTE
from stateroom.terminal import Terminal, said_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LISTS = [
    name
    for name in REMOTE
    if hasattr(import_module(f"stateroom.remote.{name.replace('-', '_')}"), "LIST")
]


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (timedelta(), "0 seconds ago"),
        (timedelta(seconds=1.9), "1 second ago"),
        (timedelta(seconds=59), "59 seconds ago"),
        (timedelta(minutes=3, seconds=59), "3 minutes ago"),
        (timedelta(hours=47), "1 day ago"),
        (timedelta(days=400), "1 year ago"),
        (timedelta(days=-3), "in 3 days"),
    ],
)
def test_a_moment_is_told_by_its_distance(ago: timedelta, said: str) -> None:
    assert said_of(ago) == said


def test_one_thing_has_its_moments_in_both_ways(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(100, NOW).item({"at": "2026-01-02T03:01:05Z"}, {"at": "at"})

    assert capsys.readouterr().out == "at: 2026-01-02 03:01:05Z (3 minutes ago)\n"


def test_a_table_that_is_too_wide_loses_empty_columns_and_the_middle_of_long_cells() -> None:
    rows = [["a" * 30 + "z" * 30, "run_01m8m3s48jecy8tnxbw9cztjbe", None, "2026-01-02T03:01:05Z"]]

    assert Terminal(60, NOW).table(["name", "id", "nothing", "at"], rows) == [
        "NAME                         ID                AT",
        "aaaaaaaaaaaaa…zzzzzzzzzzzzz  run_01m8m3s48jec  3 minutes ago",
    ]


def test_a_table_that_fits_is_whole() -> None:
    rows = [["run_01m8m3s48jecy8tnxbw9cztjbe", None]]

    assert Terminal(60, NOW).table(["id", "nothing"], rows) == [
        "ID                              NOTHING",
        "run_01m8m3s48jecy8tnxbw9cztjbe  -",
    ]


def test_a_status_has_a_colour() -> None:
    [_, line] = Terminal(60, NOW).table(["status", "name"], [["errored", "x"]])

    assert line == f"{click.style('errored', fg='red')}  x"


@pytest.mark.parametrize("noun", LISTS)
def test_every_list_fits_100_characters_with_the_longest_names(noun: str) -> None:
    columns = import_module(f"stateroom.remote.{noun.replace('-', '_')}").LIST
    values = [[_long(title) for title in columns]]

    lines = Terminal(100, NOW).table(list(columns), values)

    assert max(map(len, lines)) <= 100, "\n".join(lines)


def _long(title: str) -> Any:
    """What may be in the column of this title: a moment, a number, a flag, an id, or a name."""
    kinds = dict.fromkeys(
        ("made", "finished", "since", "until", "at", "expires", "last used", "last login"),
        "2026-01-02T02:50:05Z",
    )
    kinds |= dict.fromkeys(("revoked", "disabled", "frozen", "last seen"), "2026-01-02T02:50:05Z")
    kinds |= dict.fromkeys(("number", "serial", "restored from", "version"), "12345")
    kinds |= dict.fromkeys(
        ("stale", "forced", "pinned", "sensitive", "expression", "administrator", "password"), "no"
    )
    kinds |= dict.fromkeys(("id", "run", "user"), "run_01m8m3s48jecy8tnxbw9cztjbe")
    kinds |= {"size": "123456789", "status": "planned_and_finished", "kind": "environment"}
    return defaultdict(lambda: "n" * 63, kinds)[title]


@pytest.mark.parametrize(
    ("exported", "said"), [({}, "\x1b[31merrored\x1b[0m"), ({"NO_COLOR": "1"}, "errored")]
)
def test_colours_are_for_a_terminal_that_wants_them(
    exported: dict[str, str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "say.py").write_text(
        "import click\n"
        "from stateroom.main import main\n"
        "@click.command()\n"
        "def say(): click.secho('errored', fg='red')\n"
        "main.add_command(say, 'say')\n"
        "main.get_command = lambda context, name: say\n"
        "main(['say'])\n"
    )

    shown = _at_a_terminal([sys.executable, str(tmp_path / "say.py")], exported)

    assert shown == f"{said}\r\n"


def _at_a_terminal(argv: list[str], exported: dict[str, str]) -> str:
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm"} | exported
    child, terminal = pty.fork()
    if child == 0:
        os.execve(argv[0], argv, environment)
    said = b""
    try:
        while part := os.read(terminal, 4096):
            said += part
    except OSError:  # Linux says EIO when nobody is left at the other end
        pass
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    return said.decode()
