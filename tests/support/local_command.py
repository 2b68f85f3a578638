"""`stateroom …` on the server's own machine, as a process of its own.

The process is forked from one that has imported the command's modules already: importing them
takes ten times as long as most commands.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess

from backend.config import Settings
from stateroom.main import main
from tests.support.project import ROOT

SECONDS = 60
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(
    [f"stateroom.local.{name}" for name in ("backup", "decrypt", "keys")]
    + ["backend.upkeep.rotation", "backend.upkeep.backups", "backend.upkeep.recovery"]
)


def stateroom(settings: Settings, *arguments: str, **more: str) -> CompletedProcess[str]:
    given = {
        "PATH": os.environ["PATH"],
        "STATEROOM_DATA_DIR": str(settings.data_dir),
        "STATEROOM_DATABASE_URL": settings.database_url,
        **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
    }
    return run(given | more, *arguments)


def run(environment: Mapping[str, str], *arguments: str) -> CompletedProcess[str]:
    """The command with these exported variables, and no others."""
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder) / name for name in ("stdout", "stderr")]
        process = _FORKING.Process(target=_run, args=(dict(environment), arguments, said))
        process.start()
        process.join(SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
        texts = [path.read_text(encoding="utf-8") if path.exists() else "" for path in said]
    assert process.exitcode is not None
    return CompletedProcess([*arguments], process.exitcode, *texts)


def _run(environment: dict[str, str], arguments: list[str], said: list[Path]) -> None:
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    for stream, path in zip((sys.stdout, sys.stderr), said, strict=True):
        with path.open("wb") as file:
            os.dup2(file.fileno(), stream.fileno())
    main([*arguments], prog_name="stateroom")


def must(settings: Settings, *arguments: str) -> str:
    done = stateroom(settings, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
