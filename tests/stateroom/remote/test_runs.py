from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.installations import Installations
from tests.support.place import Place
from tests.support.repositories import Repository


@pytest.fixture
def place(installations: Installations, repository: Repository) -> Place:
    """A fresh project whose template can be run."""
    return installations.with_worker().place(repository=str(repository.folder))


def test_a_run_is_queued_followed_and_shown(cli: CommandLine) -> None:
    done = cli.run("runs", "queue", "--message", "the first", "--wait")
    [run] = cli.table("runs", "list")

    assert done.exit_code == 0, done.output
    assert "Apply complete!" in done.stderr
    assert "message:        the first\n" in done.stdout
    assert (run["OPERATION"], run["STATUS"]) == ("apply", "applied")
    assert "apply: done" in cli.must("runs", "show", run["ID"])
    assert "Apply complete!" in cli.must("runs", "log", run["ID"])
    assert cli.must("runs", "log", run["ID"], "--follow") == cli.must("runs", "log", run["ID"])


def test_a_run_that_fails_is_told_by_the_exit_status(cli: CommandLine) -> None:
    done = cli.run("runs", "queue", "--operation", "import-state", "--wait")

    assert done.exit_code == 1
    assert "nothing-to-import" in done.stdout
    assert "is errored" in done.stderr
    assert len(cli.json("runs", "list", "--status", "errored")) == 1


def test_a_run_in_the_queue_is_canceled(
    installations: Installations, repository: Repository, tmp_path: Path
) -> None:
    place = installations.server(worker_slots=1).place(repository=str(repository.folder))
    cli = CommandLine(place.wire.url, place.api.token, place.project, place.workspace)
    [queued] = cli.json("runs", "queue", "--operation", "plan", "--start-empty")

    [canceled] = cli.json("runs", "cancel", queued["id"])

    assert queued["start_empty"] is True
    assert canceled["status"] == "canceled"
    assert cli.run("runs", "acknowledge", queued["id"]).exit_code == 1
