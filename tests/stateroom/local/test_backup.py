"""Restoring everything after losing the machine: `stateroom backup`, `stateroom decrypt`."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import select, text

from backend.config import Settings
from backend.db import Database
from backend.migrations import history
from backend.models import Project, RescuedWrite, StateVersion
from backend.people import authentication
from backend.sealing.blobs import Blobs
from backend.sealing.keyring import Keyring
from backend.transactions import Installation
from backend.upkeep import backups, installation
from tests.support.databases import one_database
from tests.support.documents import encrypted_document, state_document
from tests.support.local_command import must, stateroom
from tests.support.sealed_things import EVERYTHING, LARGE, SMALL, add_version, fill, opened

HERE = Settings(data_dir=Path("/nowhere"))  # for commands that ask for no installation

# rows of the first schema that had any; of the version, the columns that it cannot be without
FIRST: dict[str, dict[str, Any]] = {
    "projects": {
        "id": "p", "name": "shop", "description": "", "known_hosts": "",
        "accept_new_host_keys": False,
    },
    "templates": {
        "id": "t", "project_id": "p", "name": "app", "repository": "x", "path": ".",
        "tool": "terraform", "backend_mode": "auto",
    },
    "workspaces": {"id": "w", "project_id": "p", "template_id": "t", "name": "app"},
    "states": {"id": "s", "project_id": "p", "workspace_id": "w", "current": 1},
    "state_versions": dict.fromkeys(
        ("id", "state_id", "number", "encrypted", "size", "md5", "sha256", "forced", "created_by",
         "key_id", "wrapped_key", "sealed")
    ),
}  # fmt: skip


@pytest.fixture
def here(here: Installation) -> Installation:
    """An installation with one of everything that is sealed."""
    fill(here)
    return here


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "_manifest.json").read_text())
    return found


@one_database
def test_a_backup_of_sqlite_is_a_whole_installation(here: Installation, tmp_path: Path) -> None:
    said = must(here.settings, "backup", str(tmp_path / "copy"), "--with-keyring")

    again = installation.prepare(Settings(data_dir=tmp_path / "copy"))
    assert "the database and 1 large states" in said
    assert opened(again, again.keyring) == EVERYTHING
    again.database.close()


@one_database
def test_a_backup_has_no_keyring_unless_it_is_asked_for(here: Installation, tmp_path: Path) -> None:
    must(here.settings, "backup", str(tmp_path / "copy"))

    copied = {path.name for path in (tmp_path / "copy").iterdir()}
    assert copied == {"stateroom.db", "blobs"}
    assert modes(tmp_path / "copy") == {0o600}


@one_database
def test_a_backup_overwrites_nothing(here: Installation, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "precious").touch()

    done = stateroom(here.settings, "backup", str(tmp_path / "copy"))

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["precious"]


@one_database
def test_a_file_that_is_lost_or_damaged_is_named_and_the_rest_is_copied(
    here: Installation, tmp_path: Path
) -> None:
    with here.database.transaction() as db:
        add_version(here, db, 4, LARGE)
        names = [db.get_one(StateVersion, f"sv{n:06}").blob or "" for n in (2, 4)]
    here.blobs.path(names[0]).unlink()
    here.blobs.path(names[1]).write_bytes(b"damaged")

    done = stateroom(here.settings, "backup", str(tmp_path / "copy"))

    assert done.returncode == 1
    assert f"missing: blobs/{names[0][:2]}/" in done.stderr
    assert f"damaged: blobs/{names[1][:2]}/" in done.stderr
    assert (tmp_path / "copy" / "stateroom.db").exists()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_on_postgresql_the_dump_comes_first(here: Installation, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()

    refused = stateroom(here.settings, "backup", str(copy))
    (copy / "stateroom.dump").write_bytes(b"what pg_dump wrote")
    said = must(here.settings, "backup", str(copy), "--with-keyring")

    assert refused.returncode == 2
    assert f"pg_dump --format=custom --file={copy}/stateroom.dump" in refused.stderr
    assert "the database and 1 large states" in said
    assert {path.name for path in copy.iterdir()} == {"stateroom.dump", "blobs", "keyring"}


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_what_is_written_while_the_files_are_copied_is_not_missing(
    here: Installation, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "stateroom.dump").write_bytes(b"what pg_dump wrote")

    class Busy(Blobs):
        """Somebody writes another large state as soon as the names of the files were listed."""

        def names(self) -> Iterator[str]:
            yield from [*super().names()]
            with here.itself.transaction() as tx:
                add_version(here, tx.db, 4, state_document(4, size=len(LARGE)))

    backup = backups.of_postgresql(replace(here, blobs=Busy(here.blobs.folder)), copy)

    assert backup.files == 1
    assert backup.missing == set()


def test_the_states_are_got_out_of_a_backup_without_a_server(
    here: Installation, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    source = here.settings.database_url or str(here.settings.data_dir)

    said = must(HERE, "decrypt", source, str(out), *beside(here), "--version", "2")

    assert "1 states and 0 rescued writes are in" in said
    assert (out / "shop" / "app.tfstate").read_bytes() == LARGE
    assert modes(out) == {0o600}
    (state,) = manifest(out)["states"]
    assert state["md5"] == hashlib.md5(LARGE, usedforsecurity=False).hexdigest()
    assert (state["project"], state["workspace"], state["version"]) == ("shop", "app", 2)
    assert (state["serial"], state["encrypted"], state["deleted"]) == (2, False, False)


def beside(here: Installation) -> list[str]:
    return [
        "--keyring", str(here.settings.keyring_path), "--blobs", str(here.settings.blobs_dir),
    ]  # fmt: skip


@one_database
def test_the_newest_version_is_what_comes_out_of_a_backup(
    here: Installation, tmp_path: Path
) -> None:
    sealed = encrypted_document(7)
    with here.database.transaction() as db:
        add_version(here, db, 4, sealed).encrypted = True
        db.execute(text("UPDATE states SET current = 4"))
    must(here.settings, "backup", str(tmp_path / "copy"), "--with-keyring")

    said = must(HERE, "decrypt", str(tmp_path / "copy"), str(tmp_path / "out"))

    assert (tmp_path / "out" / "shop" / "app.tfstate").read_bytes() == sealed
    assert "1 of them OpenTofu encrypted itself: its own passphrase opens them." in said
    (state,) = manifest(tmp_path / "out")["states"]
    assert (state["serial"], state["encrypted"]) == (7, True)


def test_refused_writes_that_wait_for_a_decision_come_out_of_a_backup_too(
    here: Installation, tmp_path: Path
) -> None:
    with here.database.transaction() as db:
        db.execute(text("UPDATE states SET current = 2, deleted_at = 1"))
    out = tmp_path / "out"
    source = here.settings.database_url or str(here.settings.data_dir)

    said = must(HERE, "decrypt", source, str(out), *beside(here))

    assert "1 states and 1 rescued writes are in" in said
    assert (out / "shop" / "app.rescued" / "rw.tfstate").read_bytes() == SMALL
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.rglob("*") if path.is_dir()} == {
        0o700
    }
    (write,) = manifest(out)["rescued"]
    assert write["file"] == "shop/app.rescued/rw.tfstate"
    assert (write["rescued"], write["reason"]) == ("rw", "serial-too-low")
    assert (write["serial"], write["size"], write["deleted"]) == (1, len(SMALL), True)


@one_database
def test_a_refused_write_comes_out_of_a_backup_where_no_version_is(
    here: Installation, tmp_path: Path
) -> None:
    # its only version was removed: what is left is what somebody tried to write
    said = must(HERE, "decrypt", str(here.settings.data_dir), str(tmp_path / "out"))

    assert "0 states and 1 rescued writes are in" in said


@one_database
def test_a_refused_write_that_does_not_open_is_named(here: Installation, tmp_path: Path) -> None:
    with here.database.transaction() as db:
        db.get_one(RescuedWrite, "rw").serial = 99

    done = stateroom(HERE, "decrypt", str(here.settings.data_dir), str(tmp_path / "out"))

    assert done.returncode == 1
    assert done.stderr.startswith("shop/app rw: ")
    assert list((tmp_path / "out").rglob("*.tfstate")) == []


@one_database
def test_no_project_has_the_name_of_the_manifest(here: Installation, tmp_path: Path) -> None:
    with here.database.transaction() as db:
        db.get_one(Project, "p").name = "manifest.json"

    must(HERE, "decrypt", str(here.settings.data_dir), str(tmp_path / "out"), "--version", "1")

    assert (tmp_path / "out" / "manifest.json" / "app.tfstate").read_bytes() == SMALL


@one_database
def test_decrypting_changes_nothing_in_a_backup(here: Installation, tmp_path: Path) -> None:
    must(here.settings, "backup", str(tmp_path / "copy"), "--with-keyring")
    before = contents(tmp_path / "copy")

    must(HERE, "decrypt", str(tmp_path / "copy"), str(tmp_path / "out"), "--version", "1")

    assert contents(tmp_path / "copy") == before


@one_database
def test_what_only_the_write_ahead_log_has_is_got_out_too(
    here: Installation, tmp_path: Path
) -> None:
    # as somebody finds it on the disk of a dead machine: nothing was checkpointed
    shutil.copytree(here.settings.data_dir, tmp_path / "disk")
    assert (tmp_path / "disk" / "stateroom.db-wal").stat().st_size
    before = contents(tmp_path / "disk")

    must(HERE, "decrypt", str(tmp_path / "disk"), str(tmp_path / "out"), "--version", "1")

    assert (tmp_path / "out" / "shop" / "app.tfstate").read_bytes() == SMALL
    assert contents(tmp_path / "disk") == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@one_database
def test_decrypting_overwrites_nothing(here: Installation, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").touch()

    done = stateroom(HERE, "decrypt", str(here.settings.data_dir), str(tmp_path / "out"))

    assert done.returncode == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious"]


@one_database
def test_a_state_that_does_not_open_is_named_and_leaves_no_file(
    here: Installation, tmp_path: Path
) -> None:
    with here.database.transaction() as db:
        db.get_one(StateVersion, "sv000001").md5 = b"0" * 16

    done = stateroom(
        HERE, "decrypt", str(here.settings.data_dir), str(tmp_path / "out"), "--version", "1"
    )

    assert done.returncode == 1
    assert "shop/app version 1: The content differs from the hashes" in done.stderr
    assert [path.name for path in (tmp_path / "out").rglob("*.tfstate")] == []
    assert manifest(tmp_path / "out")["failed"][0]["workspace"] == "app"


@one_database
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--project", "other"], "There is no such state"),
        (["--workspace", "other"], "There is no such state"),
        (["--version", "3"], "There is no such state"),  # its body was removed
        (["--version", "99"], "There is no such state"),
    ],
)
def test_what_is_not_in_a_backup_is_refused_in_one_line(
    here: Installation, tmp_path: Path, arguments: list[str], said: str
) -> None:
    source = str(here.settings.data_dir)

    done = stateroom(HERE, "decrypt", source, str(tmp_path / "out"), *arguments)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr


@one_database
def test_another_keyring_opens_nothing(here: Installation, tmp_path: Path) -> None:
    Keyring.create(tmp_path / "other")
    other = ["--keyring", str(tmp_path / "other"), "--version", "1"]

    done = stateroom(HERE, "decrypt", str(here.settings.data_dir), str(tmp_path / "out"), *other)

    assert done.returncode == 1
    assert "which the keyring does not have" in done.stderr


def test_a_password_in_a_url_is_refused(tmp_path: Path) -> None:
    done = stateroom(HERE, "decrypt", "postgresql://ann:secret@db/x", str(tmp_path / "out"))

    assert (done.returncode, "PGPASSWORD" in done.stderr) == (2, True)
    assert "secret" not in done.stderr


@one_database
def test_a_backup_of_an_older_schema_is_read_as_it_is(here: Installation, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    old = Database(Settings(data_dir=tmp_path / "old"))
    with here.database.reading() as db:
        row = db.execute(select(StateVersion.__table__).where(StateVersion.number == 1)).one()
    version = {name: row._mapping[name] for name in (*FIRST["state_versions"], "serial", "lineage")}
    with old.engine.begin() as connection:
        config = history.configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table, values in (FIRST | {"state_versions": version}).items():
            names = ", ".join(values)
            given = ", ".join(f":{name}" for name in values)
            insert = text(f"INSERT INTO {table} ({names}, created_at) VALUES ({given}, 1)")
            connection.execute(insert, values)
    old.close()
    shutil.copy(here.settings.keyring_path, tmp_path / "old" / "keyring")

    must(HERE, "decrypt", str(tmp_path / "old"), str(tmp_path / "out"))

    assert (tmp_path / "out" / "shop" / "app.tfstate").read_bytes() == SMALL


def test_who_has_the_machine_gets_a_new_administrators_token(here: Installation) -> None:
    secret = must(here.settings, "administrator").strip()

    with here.database.reading() as db:
        who = authentication.authenticate(db, secret)
    assert who.scopes == {"admin"}
    assert who.project_id is None
