"""What tests start ends with them, also when pytest is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from tests.support.processes import wait_until
from tests.support.project import ROOT
from tests.support.required import missing

STARTED = {
    "a server and a worker": "from tests.support.stateroom import Stateroom as S; s = S(folder).start()",
    "PostgreSQL": "from tests.support.postgres import Postgres; s = Postgres()",
    "Redis": "from tests.support.redis_server import Redis; s = Redis(folder / 'redis')",
    "sshd": "from tests.support.sshd import real_sshd as S; s = S(folder / 's'); s.__enter__()",
    "an S3": "from tests.support.elsewhere import Moto; s = Moto(folder)",
}
CODE = "import sys; from pathlib import Path; folder = Path(sys.argv[1]); {}; print(); sys.stdin.read()"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for temporary files that PostgreSQL's own user reaches too."""
    with TemporaryDirectory(prefix="leaks-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.mark.parametrize("what", STARTED)
def test_what_a_killed_pytest_had_started_is_killed_with_it(what: str, folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CODE.format(STARTED[what]), str(folder)],
        env=os.environ | {"TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as pytest_process:
        started = pytest_process.stdout and pytest_process.stdout.readline()
        if not started:
            missing(pytest_process.communicate()[1])
        family = psutil.Process(pytest_process.pid).children(recursive=True)
        assert family

        pytest_process.send_signal(signal.SIGKILL)

    wait_until(lambda: not any(process.is_running() for process in family), f"{what} to end")
