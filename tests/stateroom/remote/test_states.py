from __future__ import annotations

from pathlib import Path

from tests.support.command_line import CommandLine
from tests.support.documents import lock_info, state_document
from tests.support.place import Place

FIRST = state_document(3, lineage="l", outputs={"made": "first"})
SECOND = state_document(7, lineage="l", outputs={"made": "second"})


def pushed(cli: CommandLine, folder: Path, *documents: bytes) -> None:
    for document in documents:
        file = folder / "pushed.tfstate"
        file.write_bytes(document)
        cli.must("states", "push", str(file))


def test_versions_are_listed_newest_first(cli: CommandLine, tmp_path: Path) -> None:
    pushed(cli, tmp_path, FIRST, SECOND)

    newest, oldest = cli.table("states", "list")

    assert (newest["NUMBER"], newest["SERIAL"], newest["OPERATION"]) == ("2", "7", "upload")
    assert (oldest["NUMBER"], oldest["OPERATION"], oldest["PINNED"]) == ("1", "import", "no")
    assert "number:        2\n" in cli.must("states", "show")


def test_what_was_pushed_is_pulled_byte_for_byte(cli: CommandLine, tmp_path: Path) -> None:
    pushed(cli, tmp_path, FIRST, SECOND)
    file = tmp_path / "pulled.tfstate"

    cli.must("states", "pull", "1", "--output", str(file))

    assert file.read_bytes() == FIRST
    assert file.stat().st_mode & 0o077 == 0
    assert cli.must("states", "pull") == SECOND.decode()
    assert cli.run("states", "pull", "-o", str(file)).exit_code == 2


def test_a_failed_pull_leaves_no_file(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "pulled.tfstate"

    done = cli.run("states", "pull", "-o", str(file))

    assert (done.exit_code, "never-written" in done.stderr) == (1, True)
    assert not file.exists()


def test_a_state_comes_from_standard_input_too(cli: CommandLine) -> None:
    [made] = cli.json("states", "push", "-", typed=FIRST.decode())

    assert (made["number"], made["operation"]) == (1, "import")


def test_an_older_serial_needs_force(cli: CommandLine, tmp_path: Path) -> None:
    pushed(cli, tmp_path, SECOND)

    refused = cli.run("states", "push", "-", typed=FIRST.decode())
    [made] = cli.json("states", "push", "-", "--force", typed=FIRST.decode())

    assert (refused.exit_code, "serial-too-low" in refused.stderr) == (1, True)
    assert made["forced"] is True


def test_a_version_is_restored_pinned_and_deleted(cli: CommandLine, tmp_path: Path) -> None:
    pushed(cli, tmp_path, FIRST, SECOND)

    [restored] = cli.json("states", "restore", "1")
    [pinned] = cli.json("states", "pin", "1")
    [unpinned] = cli.json("states", "unpin", "1")
    [deleted] = cli.json("states", "delete", "1")

    assert (restored["number"], restored["serial"], restored["restored_from"]) == (3, 8, 1)
    assert (pinned["pinned"], unpinned["pinned"]) == (True, False)
    assert deleted["removed_because"] == "deleted"
    assert len(cli.table("states", "list")) == 2
    assert len(cli.table("states", "list", "--removed")) == 3


def test_a_state_is_deleted_brought_back_and_purged(cli: CommandLine, tmp_path: Path) -> None:
    pushed(cli, tmp_path, FIRST)

    assert cli.run("states", "delete").exit_code == 2
    cli.must("states", "delete", "--all")
    cli.must("states", "undelete")
    cli.must("states", "delete", "--all")
    assert cli.run("states", "purge", typed="n\n").exit_code == 1
    cli.must("states", "purge", "--yes")

    assert cli.run("states", "undelete").exit_code == 1
    [made] = cli.json("states", "push", "-", "--import", typed=FIRST.decode())
    assert made["number"] == 2


def test_refused_writes_are_listed_shown_pulled_and_decided(
    cli: CommandLine, place: Place, tmp_path: Path
) -> None:
    pushed(cli, tmp_path, SECOND)
    place.state.write(FIRST)
    place.state.write(state_document(2, lineage="l"))

    newest, oldest = cli.table("rescued", "list")
    assert (oldest["REASON"], oldest["SERIAL"], newest["SERIAL"]) == ("serial-too-low", "3", "2")
    assert "beside the current one: older\n" in cli.must("rescued", "show", oldest["ID"])
    assert cli.must("rescued", "pull", oldest["ID"]) == FIRST.decode()
    [made] = cli.json("rescued", "promote", oldest["ID"])
    assert (made["operation"], made["serial"]) == ("promote", 8)
    cli.must("rescued", "dismiss", newest["ID"])
    assert cli.must("rescued", "list").splitlines()[1:] == []
    assert [row["DECISION"] for row in cli.table("rescued", "list", "--all")] == [
        "dismissed",
        "promoted",
    ]


def test_a_locked_state_names_its_holder(cli: CommandLine, place: Place, tmp_path: Path) -> None:
    pushed(cli, tmp_path, FIRST, SECOND)
    place.state.lock(lock_info())

    done = cli.run("states", "restore", "1")

    assert (done.exit_code, "state-locked" in done.stderr) == (1, True)
