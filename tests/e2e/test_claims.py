"""Two processes claim all queued runs, each run once."""

from __future__ import annotations

import sys
from pathlib import Path

from sqlalchemy import select

from backend.catalogue import templates
from backend.config import Settings
from backend.models import Project, Run
from backend.runs import queue
from backend.states import workspaces
from backend.states.workspaces import NewWorkspace
from backend.upkeep import installation
from execution import repositories
from tests.support.processes import Process, wait_until
from tests.support.stateroom import ROOT

RUNS = 200


def queue_runs(settings: Settings) -> set[str]:
    """A run in each of as many workspaces."""
    here = repositories.knowing_the_rules(installation.prepare(settings))
    with here.itself.transaction() as tx:
        project = Project(name="many")
        tx.db.add(project)
        tx.db.flush()
        template = templates.create(tx, project, repository="https://example.com/x.git")
        made = [
            workspaces.create(tx, project, NewWorkspace(f"w{number}"), template.name)
            for number in range(RUNS)
        ]
        queued = {queue.queue(tx, workspace, queue.NewRun("apply")).id for workspace in made}
    here.database.close()
    return queued


def claimer(settings: Settings, name: str, folder: Path) -> Process:
    env = {
        "PYTHONPATH": str(ROOT),
        "STATEROOM_DATA_DIR": str(settings.data_dir),
        "STATEROOM_DATABASE_URL": settings.database_url,
    }
    argv = [sys.executable, "-m", "tests.support.claimer", name, str(folder / "go")]
    process = Process(argv, env=env, cwd=ROOT, log=folder / f"{name}.log")
    wait_until(lambda: "ready" in process.said() or not process.running, "the claimer")
    return process


def test_two_processes_claim_200_runs_and_none_of_them_twice(
    settings: Settings, tmp_path: Path
) -> None:
    queued = queue_runs(settings)
    claimers = [claimer(settings, name, tmp_path) for name in ("one", "other")]

    (tmp_path / "go").touch()
    codes = [process.wait() for process in claimers]

    assert codes == [0, 0], [process.said() for process in claimers]
    lines = [line.split() for process in claimers for line in process.said().splitlines()]
    claimed = [words[1:] for words in lines if words[0] == "claimed"]
    assert sorted(run_id for run_id, _ in claimed) == sorted(queued)
    assert {epoch for _, epoch in claimed} == {"1"}
    here = installation.prepare(settings)
    with here.itself.reading() as tx:
        rows = tx.db.execute(select(Run.status, Run.epoch, Run.attempts)).all()
    here.database.close()
    assert {tuple(row) for row in rows} == {("preparing", 1, 1)}
