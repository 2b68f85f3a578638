"""The worker without its processes: how it handles leftovers, signals and crashes."""

from __future__ import annotations

import json
import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import select

from backend.config import Settings
from backend.models import RescuedWrite, Run, Variable, Workspace
from backend.runs import queue
from backend.transactions import Installation
from backend.upkeep import installation
from execution import repositories
from runner.processes import workdir
from runner.providers import cache
from runner.providers.package import Package
from tests.support.rows import add_workspaces
from worker import Worker

STATE = {"version": 4, "serial": 7, "lineage": "one", "resources": []}


@pytest.fixture
def here(settings: Settings) -> Iterator[Installation]:
    """With a short name: sockets in its work folders have a limit."""
    with TemporaryDirectory(prefix="w") as folder:
        data_dir = shutil.copytree(settings.data_dir, Path(folder) / "data")
        prepared = repositories.knowing_the_rules(
            installation.prepare(settings.model_copy(update={"data_dir": data_dir}))
        )
        yield prepared
        prepared.database.close()


@pytest.fixture
def workspace(here: Installation) -> Workspace:
    repository = f"{here.settings.local_repositories}/r"
    return add_workspaces(here, "one", repository=repository)[0]


def ended_run(here: Installation, workspace: Workspace) -> str:
    with here.itself.transaction() as tx:
        run = queue.queue(tx, workspace, queue.NewRun("apply"))
        queue.cancel(tx, run.workspace.project, run.id, force=False)
        return run.id


def left_behind(here: Installation, run_id: str, unwritten: bytes) -> Path:
    """The work folder of a run whose worker was killed when its tool could not write its state."""
    folder = here.settings.work_dir / workdir.name(run_id, 1)
    (folder / "checkout" / "source").mkdir(parents=True)
    (folder / "checkout" / "source" / "errored.tfstate").write_bytes(unwritten)
    return folder


def rescued(here: Installation) -> list[tuple[str, int | None]]:
    with here.itself.reading() as tx:
        return [(row.reason, row.serial) for row in tx.db.scalars(select(RescuedWrite))]


def test_a_sweep_takes_in_the_states_that_dead_runs_could_not_write(
    here: Installation, workspace: Workspace
) -> None:
    folder = left_behind(here, ended_run(here, workspace), json.dumps(STATE).encode())

    Worker(here).sweep()

    assert rescued(here) == [("worker-lost", 7)]
    assert not folder.exists()


def test_what_is_no_run_in_the_work_folder_does_not_stop_the_sweep(
    here: Installation, workspace: Workspace
) -> None:
    stray = here.settings.work_dir / "lost+found"
    stray.mkdir(parents=True)
    (here.settings.work_dir / "a.b").mkdir()
    folder = left_behind(here, ended_run(here, workspace), json.dumps(STATE).encode())

    Worker(here).sweep()

    assert stray.is_dir()
    assert not folder.exists()


def test_mirrors_that_no_run_has_used_for_long_are_removed(here: Installation) -> None:
    unused, used = (here.settings.mirrors_dir / f"{digit * 64}.git" for digit in "01")
    for folder in (unused, used):
        folder.mkdir(parents=True)
    days = here.settings.mirror_days + 1
    os.utime(unused, (time.time() - days * 86_400,) * 2)

    Worker(here).sweep_mirrors()

    assert not unused.exists()
    assert used.is_dir()


def test_providers_that_no_run_has_used_for_long_are_removed(
    here: Installation, tmp_path: Path
) -> None:
    kept = cache.Cache(here.settings.providers_path / "shared")
    unused, used = (Package("example.com/acme/thing", f"1.0.{n}", "linux_amd64") for n in "01")
    archive = tmp_path / "package.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("terraform-provider-thing", "program")
    for package in (unused, used):
        with archive.open("rb") as opened:
            kept.put(package, opened, 1000)
    days = here.settings.provider_cache_days + 1
    known = kept.root / "known" / unused.path.with_name(f"{unused.platform}.json")
    os.utime(known, (time.time() - days * 86_400,) * 2)

    Worker(here).sweep_providers()

    assert list(kept.every()) == [used]
    assert not (kept.folder / unused.path).exists()


@pytest.mark.parametrize("useless", [b"", b"{", b"[1]", b'{"a": 1}'])
def test_a_state_file_that_holds_no_state_does_not_keep_others_from_being_taken_in(
    here: Installation, workspace: Workspace, useless: bytes
) -> None:
    run_id = ended_run(here, workspace)
    useless_folder = left_behind(here, run_id, useless)
    folder = left_behind(here, ended_run(here, workspace), json.dumps(STATE).encode())

    Worker(here).sweep()

    assert rescued(here) == [("worker-lost", 7)]
    assert not folder.exists()
    assert not useless_folder.exists()


def test_a_run_that_is_claimed_after_the_interrupt_is_told_too(
    here: Installation, workspace: Workspace
) -> None:
    with here.itself.transaction() as tx:
        run_id = queue.queue(tx, workspace, queue.NewRun("apply")).id
    worker = Worker(here)
    worker.interrupt()

    worker._execute(run_id)  # it was asked to just before

    with here.itself.reading() as tx:
        assert tx.db.get_one(Run, run_id).status == "canceled"


def test_a_run_whose_variable_cannot_be_opened_still_has_an_end(
    here: Installation, workspace: Workspace
) -> None:
    with here.itself.transaction() as tx:
        tx.db.add(Variable(workspace_id=workspace.id, kind="terraform", name="a", value=b"torn"))
        run_id = queue.queue(tx, workspace, queue.NewRun("plan")).id

    Worker(here).take(run_id)

    with here.itself.reading() as tx:
        run = tx.db.get_one(Run, run_id)
        assert (run.status, run.epoch, run.blocking) == ("errored", 1, False)
        assert run.error_code
