from __future__ import annotations

import pytest

from tests.support.command_line import CommandLine
from tests.support.installations import Installations
from tests.support.place import Place
from tests.support.repositories import Repository

MODULE = """\
variable "word" {
  default = "one"
}

output "word" {
  value = var.word
}
"""


@pytest.fixture
def place(installations: Installations, repository: Repository) -> Place:
    repository.replace({"main.tf": MODULE})
    return installations.with_worker().place(repository=str(repository.folder))


def test_drift_is_looked_for_and_shown(cli: CommandLine, place: Place) -> None:
    cli.must("runs", "queue", "--auto-approve", "--wait")
    unknown = cli.run("workspaces", "drift", "first")
    look = ("runs", "queue", "--operation", "drift", "--wait", "--detailed-exitcode")
    nothing = cli.run(*look)
    place.set_variable("word", "two \x1b[31m")
    something = cli.run(*look)
    shown = cli.must("workspaces", "drift", "first")
    [found] = cli.json("workspaces", "drift", "first")

    assert (unknown.exit_code, nothing.exit_code, something.exit_code) == (1, 0, 2)
    assert "--operation drift" in unknown.stderr
    assert 'output ~ word: "one" -> "two \\u001b[31m"' in shown
    assert found["outputs"] == 1
    assert "drift:" in cli.must("workspaces", "show", "first")
    assert "1 output at " in cli.must("workspaces", "show", "first")
