"""Run `stateroom …` as from a shell, with exported variables."""

from __future__ import annotations

import json
import os
import pty
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from stateroom.main import main
from tests.support.processes import Process
from tests.support.project import ROOT


class CommandLine:
    def __init__(self, url: str, token: str, project: str = "", workspace: str = "") -> None:
        self.exported: dict[str, str | None] = {
            "STATEROOM_URL": url,
            "STATEROOM_TOKEN": token,
            "STATEROOM_PROJECT": project,
            "STATEROOM_WORKSPACE": workspace,
            "STATEROOM_TOKEN_FILE": None,
            "STATEROOM_DATA_DIR": None,
            "XDG_CONFIG_HOME": "/nonexistent",
        }

    def run(self, *arguments: str, typed: str | None = None, **exported: str | None) -> Result:
        """In this process; `typed` is its standard input."""
        return CliRunner().invoke(
            main, list(arguments), input=typed, env=self.exported | exported, prog_name="stateroom"
        )

    def start(self, *arguments: str, log: Path) -> Process:
        """In a process of its own, which goes on; what it prints is in the log."""
        kept = {n: v for n, v in os.environ.items() if n == "PATH" or n.startswith("COVERAGE_")}
        exported = {name: value for name, value in self.exported.items() if value is not None}
        argv = [sys.executable, "-m", "stateroom", *arguments]
        return Process(argv, env=kept | exported, cwd=ROOT, log=log)

    def at_a_terminal(
        self, *arguments: str, answers: Mapping[str, str | Callable[[], object]]
    ) -> str:
        """Run it at a terminal, and type each answer when its question is shown. All it showed.

        An answer may also be something to do then.
        """
        exported = {name: value for name, value in self.exported.items() if value is not None}
        argv = [sys.executable, "-m", "stateroom", *arguments]
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(ROOT)
            os.execve(argv[0], argv, {"PATH": os.environ["PATH"], "TERM": "xterm"} | exported)
        shown, open_ones = "", dict(answers)
        try:
            while part := os.read(terminal, 4096):
                shown += part.decode(errors="replace")
                for question in [one for one in open_ones if one in shown]:
                    answer = open_ones.pop(question)
                    if callable(answer):
                        answer()
                    else:
                        os.write(terminal, f"{answer}\n".encode())
        except OSError:  # Linux says EIO when nobody is left at the other end
            pass
        finally:
            os.close(terminal)
            os.waitpid(child, 0)
        return shown

    def must(self, *arguments: str, typed: str | None = None) -> str:
        """Run it, expect success, and return its output."""
        done = self.run(*arguments, typed=typed)
        assert done.exit_code == 0, (arguments, done.output, done.exception)
        return done.stdout

    def json(self, *arguments: str, typed: str | None = None) -> list[dict[str, Any]]:
        """Run it with --json, and return its lines."""
        lines = self.must(*arguments, "--json", typed=typed).splitlines()
        return [json.loads(line) for line in lines]

    def table(self, *arguments: str) -> list[dict[str, str]]:
        """Run it, and return the rows of its table, each cell by its title."""
        titles, *lines = self.must(*arguments).splitlines()
        starts = [
            i for i, c in enumerate(titles) if c != " " and titles[max(i - 2, 0) : i].isspace()
        ]
        starts = [0, *(start for start in starts if start)]
        ends = [*starts[1:], None]
        return [
            {titles[a:b].strip(): line[a:b].strip() for a, b in zip(starts, ends, strict=True)}
            for line in lines
        ]
