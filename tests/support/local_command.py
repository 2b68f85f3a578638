"""`stateroom …` on the server's own machine, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from backend.config import Settings
from tests.support.project import ROOT


def stateroom(settings: Settings, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    given = {
        "PATH": os.environ["PATH"],
        "STATEROOM_DATA_DIR": str(settings.data_dir),
        "STATEROOM_DATABASE_URL": settings.database_url,
        **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
    }
    argv = [sys.executable, "-m", "stateroom", *arguments]
    return subprocess.run(
        argv, env=given | more, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def must(settings: Settings, *arguments: str) -> str:
    done = stateroom(settings, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
