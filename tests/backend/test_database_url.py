"""The address of the database: odd characters work when they are encoded, else a sentence."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from backend import database_url, environ
from backend.config import Settings, WrongSetting
from backend.db import Database
from backend.models import Canary
from backend.upkeep import installation
from tests.support.postgres import Postgres

ODD = "a b%20c#d%e@f"


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(min_size=1, max_size=9))
def test_every_password_works_when_it_is_percent_encoded(password: str, user: str) -> None:
    encoded = f"{quote(user.encode(), safe='')}:{quote(password.encode(), safe='')}"

    url = database_url.parse(f"postgresql://{encoded}@db.example.com:5432/stateroom")

    assert (url.username, url.password or "", url.host) == (user, password, "db.example.com")
    assert url.database == "stateroom"


@pytest.mark.parametrize("raw", ["p@ss", "p/ss", "p#ss", "100%", "p?ss", "1/2", "a:b", "%"])
def test_a_raw_password_gets_a_sentence_that_does_not_have_it(raw: str) -> None:
    url = f"postgresql://ann:secret{raw}@db/stateroom"

    with pytest.raises(WrongSetting) as caught:
        environ.load({"STATEROOM_DATABASE_URL": url})

    said = str(caught.value)
    assert said.startswith("STATEROOM_DATABASE_URL: ")
    assert "percent-encoded" in said
    assert "secret" not in said


def test_neither_settings_nor_their_errors_show_a_password() -> None:
    settings = Settings(
        database_url="postgresql://ann:hunter2@db/stateroom", broker_url="redis://:hunter2@r/0"
    )

    with pytest.raises(ValueError, match="percent-encoded") as caught:
        Settings(database_url="postgresql://ann:hunter2@@db/stateroom")

    for shown in (repr(settings), str(settings), repr(settings.database), str(caught.value)):
        assert "hunter2" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://postgres@/stateroom?host=/var/run/postgresql",
        "postgresql://[::1]:5432/stateroom",
        "postgresql+psycopg://ann@db",
        "postgresql:///stateroom",
        "postgresql://ann:x@one.example.com/stateroom?sslmode=require&connect_timeout=3",
    ],
)
def test_usual_addresses_are_taken(url: str) -> None:
    assert Settings(database_url=url).database.drivername == "postgresql+psycopg"


def test_an_installation_works_in_a_folder_with_an_odd_name(tmp_path: Path) -> None:
    folder = tmp_path / f"{ODD}?x"
    folder.mkdir()

    made = installation.prepare(Settings(data_dir=folder))
    made.database.close()
    again = installation.existing(Settings(data_dir=folder))

    assert (folder / "stateroom.db").is_file()
    with again.database.reading() as db:
        assert db.get(Canary, 1) is not None
    again.database.close()


def test_a_database_is_reached_with_an_odd_password(postgres: Postgres) -> None:
    password = quote(ODD, safe="")
    settings = Settings(
        database_url=postgres.create().replace("postgres@", f"postgres:{password}@")
    )

    assert settings.database.password == ODD
    database = Database(settings)
    with database.reading() as db:
        assert db.scalar(text("SELECT 1")) == 1
    database.close()
