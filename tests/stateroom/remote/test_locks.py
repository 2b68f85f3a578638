from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.support.command_line import CommandLine
from tests.support.documents import lock_info
from tests.support.place import Place


def test_the_locks_of_a_project_are_listed(cli: CommandLine, place: Place) -> None:
    assert cli.table("locks", "list") == []
    info = lock_info(who="ann@laptop")
    place.state.lock(info)

    [held] = cli.table("locks", "list")

    assert held["WORKSPACE"] == place.workspace
    assert held["WHO"] == "ann@laptop"
    assert held["OPERATION"] == "Apply"
    assert f"id:              {info['ID']}\n" in cli.must("locks", "show")
    assert held["STALE"] == "no"


def test_what_a_client_says_of_itself_moves_no_cursor(cli: CommandLine, place: Place) -> None:
    place.state.lock(lock_info(who="ann\x1b[2J\n"))

    assert "\\x1b[2J\\n" in cli.must("locks", "show")


def test_a_lock_is_held_prolonged_and_released_by_hand(cli: CommandLine, place: Place) -> None:
    cli.must("locks", "hold", "--reason", "by hand", "--minutes", "5")
    [held] = cli.json("locks", "hold", "--reason", "longer", "--until", in_an_hour())

    shown = cli.must("locks", "show")
    done = cli.run("locks", "release")

    assert held["hold_reason"] == "longer"
    assert f"id:              {held['lock_id']}\n" in shown
    assert done.stderr == "The lock is free.\n"
    assert not place.is_locked()


def test_the_lock_of_another_is_broken_with_a_reason(cli: CommandLine, place: Place) -> None:
    place.state.lock(lock_info())

    released = cli.run("locks", "release")
    broken = cli.run("locks", "break", "--reason", "the laptop is gone")

    assert released.exit_code == 1
    assert "reason" in released.stderr
    assert broken.exit_code == 0
    assert not place.is_locked()
    assert ("lock.break", "the laptop is gone") in place.audited("reason")


def in_an_hour() -> str:
    return (datetime.now(UTC) + timedelta(hours=1)).isoformat()
