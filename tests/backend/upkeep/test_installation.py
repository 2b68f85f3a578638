"""The first start, and every other one."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sqlalchemy import func, select

from backend.config import Settings
from backend.models import Canary, Token
from backend.people import authentication
from backend.upkeep import installation
from backend.upkeep.installation import NotReady
from tests.support.project import ROOT

START = """
import sys
from pathlib import Path
from backend.upkeep import installation
from backend.config import Settings
settings = Settings(data_dir=Path(sys.argv[1]), database_url=sys.argv[2])
sys.stdin.readline()
installation.prepare(settings).database.close()
"""


def test_processes_that_start_for_the_first_time_together_agree(settings: Settings) -> None:
    argv = [sys.executable, "-c", START, str(settings.data_dir), settings.database_url]
    started = [
        subprocess.Popen(argv, cwd=ROOT, text=True, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]

    said = [process.communicate("\n", timeout=60)[1] for process in started]

    assert [process.returncode for process in started] == [0, 0, 0], said
    here = installation.prepare(settings)
    with here.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(Token)) == 1
        secret = settings.admin_token_path.read_text().strip()
        assert authentication.authenticate(db, secret).may("admin", None)
    here.database.close()


def test_a_start_that_died_before_its_first_commit_is_taken_up(settings: Settings) -> None:
    here = installation.prepare(settings)
    with here.database.transaction() as db:
        db.delete(db.get_one(Canary, 1))
        db.delete(db.scalars(select(Token)).one())
    here.database.close()

    again = installation.prepare(settings)

    with again.database.reading() as db:
        secret = settings.admin_token_path.read_text().strip()
        assert authentication.authenticate(db, secret).may("admin", None)
    again.database.close()


def test_a_lost_keyring_is_never_replaced_by_a_new_one(settings: Settings) -> None:
    installation.prepare(settings).database.close()
    settings.keyring_path.unlink()

    with pytest.raises(NotReady, match="is missing"):
        installation.prepare(settings)

    assert not settings.keyring_path.exists()


def test_an_administrators_token_that_was_taken_away_is_not_made_again(settings: Settings) -> None:
    installation.prepare(settings).database.close()
    settings.admin_token_path.unlink()

    installation.prepare(settings).database.close()

    assert not settings.admin_token_path.exists()
