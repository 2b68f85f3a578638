"""The machine is lost. A new one gets the backup, and every acknowledged state is there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.place import Place
from tests.support.postgres import Postgres
from tests.support.stateroom import Stateroom
from tests.support.traffic import traffic

MAKE = Callable[..., Stateroom]


def back_up(installation: Stateroom, folder: Path) -> None:
    process = installation.command("backup", str(folder), "--with-keyring")
    assert process.wait() == 0, process.said()


def run(*argv: object) -> None:
    done = subprocess.run(
        [str(part) for part in argv],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def check(restored: Stateroom, place: Place, acknowledged: dict[str, list[bytes]]) -> None:
    """Every version is there, byte for byte, and the next write goes on."""
    api = type(place.api)(restored.wire, place.api.token)
    for path, bodies in acknowledged.items():
        workspace = path.rpartition("/")[2]
        states = f"/projects/{place.project}/workspaces/{workspace}/states"
        for number, body in enumerate(bodies, 1):
            assert api.send("GET", f"{states}/{number}/download").body == body
    verified = restored.command("keys", "verify")
    assert verified.wait() == 0, verified.said()


def test_sqlite_is_restored_from_a_backup_that_was_made_under_load(
    new_stateroom: MAKE, tmp_path: Path
) -> None:
    installation = new_stateroom()
    installation.start_server()
    place = installation.place()
    with traffic(place) as going:
        going.wait_for(16)  # a large one among them
        acknowledged = going.acknowledged()
        back_up(installation, tmp_path / "backup")
        going.wait_for(3)
    installation.kill_server()
    shutil.rmtree(installation.data_dir)

    restored = new_stateroom()
    shutil.copytree(tmp_path / "backup", restored.data_dir)
    restored.start_server()

    check(restored, place, acknowledged)


def test_postgresql_is_restored_from_a_dump_and_a_backup_of_its_files(
    new_stateroom: MAKE, postgres: Postgres, tmp_path: Path
) -> None:
    url, again = postgres.create(), postgres.create()
    installation = new_stateroom(database_url=url)
    installation.start_server()
    place = installation.place()
    (tmp_path / "backup").mkdir()
    dump = tmp_path / "backup" / "stateroom.dump"
    with traffic(place) as going:
        going.wait_for(16)
        acknowledged = going.acknowledged()
        run(postgres.tool("pg_dump"), "--format=custom", f"--file={dump}", url)
        going.wait_for(3)
        back_up(installation, tmp_path / "backup")
    installation.kill_server()
    shutil.rmtree(installation.data_dir)

    restored = new_stateroom(database_url=again)
    run(postgres.tool("pg_restore"), "--no-owner", "--exit-on-error", f"--dbname={again}", dump)
    shutil.copytree(tmp_path / "backup", restored.data_dir)
    restored.start_server()

    check(restored, place, acknowledged)


def test_the_states_come_out_of_the_backup_without_any_server(
    new_stateroom: MAKE, tmp_path: Path
) -> None:
    installation = new_stateroom()
    installation.start_server()
    place = installation.place()
    with traffic(place) as going:
        going.wait_for(2)
    back_up(installation, tmp_path / "backup")

    process = installation.command("decrypt", str(tmp_path / "backup"), str(tmp_path / "out"))

    assert process.wait() == 0, process.said()
    for path, bodies in going.written.items():
        project, _, workspace = path.removeprefix("/api/terraform/state/").partition("/")
        assert (tmp_path / "out" / project / f"{workspace}.tfstate").read_bytes() == bodies[-1]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_the_states_come_out_of_a_restored_dump_too(
    new_stateroom: MAKE, database: str, tmp_path: Path
) -> None:
    installation = new_stateroom(database_url=database)
    installation.start_server()
    place = installation.place()
    with traffic(place) as going:
        going.wait_for(2)
    beside = [
        f"--blobs={installation.data_dir}/blobs",
        f"--keyring={installation.data_dir}/keyring",
    ]

    process = installation.command("decrypt", database, str(tmp_path / "out"), *beside)

    assert process.wait() == 0, process.said()
    assert len(list((tmp_path / "out" / place.project).iterdir())) == len(going.addresses)
