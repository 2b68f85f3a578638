"""What the commands of a user remember, in a file of theirs."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stateroom import credentials
from stateroom.credentials import Credentials, Entry, Unusable

HERE, THERE = "http://127.0.0.1:8420", "https://stateroom.example.com"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's configuration folder, which is not there yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "stateroom"


def test_nothing_is_remembered_at_first() -> None:
    assert credentials.read() == Credentials()
    assert credentials.forget(HERE) is None


def test_each_server_has_an_entry_and_the_last_one_is_current() -> None:
    credentials.remember(HERE, Entry("a", user="ann"))
    credentials.remember(THERE, Entry("b"))

    assert credentials.read() == Credentials(
        {HERE: Entry("a", user="ann"), THERE: Entry("b")}, THERE
    )


def test_what_is_forgotten_is_gone_and_no_longer_current(folder: Path) -> None:
    credentials.remember(HERE, Entry("secret-a"))
    credentials.remember(THERE, Entry("secret-b"))

    forgotten = credentials.forget(THERE)

    assert forgotten == Entry("secret-b")
    assert credentials.read() == Credentials({HERE: Entry("secret-a")}, "")
    assert [path.name for path in folder.iterdir()] == ["credentials.json"]
    assert "secret-b" not in (folder / "credentials.json").read_text()


def test_only_the_user_may_read_it(folder: Path) -> None:
    credentials.remember(HERE, Entry("a"))

    assert folder.stat().st_mode & 0o777 == 0o700
    assert credentials.place().stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_read_is_refused(mode: int) -> None:
    credentials.remember(HERE, Entry("a"))
    credentials.place().chmod(mode)

    with pytest.raises(Unusable, match=r"others may read it: chmod 600 /.*credentials\.json"):
        credentials.read()
    with pytest.raises(Unusable):
        credentials.remember(THERE, Entry("b"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"servers": {"a": 1}, "current": ""}', "\x00"])
def test_a_file_of_something_else_is_refused_by_name(text: str) -> None:
    credentials.remember(HERE, Entry("a"))
    credentials.place().write_text(text)

    with pytest.raises(Unusable, match="cannot be used"):
        credentials.read()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file")

    with pytest.raises(Unusable, match="cannot be written"):
        credentials.remember(HERE, Entry("a"))


@pytest.mark.parametrize("home", ["/dev/null", "~"], ids=["no folder", "no home"])
def test_whoever_has_no_home_folder_remembers_nothing(
    home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", home)

    assert credentials.read() == Credentials()
    with pytest.raises(Unusable):
        credentials.remember(HERE, Entry("a"))


def test_many_at_once_lose_no_entry() -> None:
    urls = [f"https://{number}.example.com" for number in range(20)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda url: credentials.remember(url, Entry(url)), urls))

    assert set(credentials.read().servers) == set(urls)


def test_a_file_that_is_a_link_stays_one(tmp_path: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "credentials.json").symlink_to(tmp_path / "elsewhere.json")

    credentials.remember(HERE, Entry("a"))

    assert credentials.place().is_symlink()
    assert json.loads((tmp_path / "elsewhere.json").read_text())["current"] == HERE


def test_a_server_of_this_machine_is_current_when_no_other_one_is(tmp_path: Path) -> None:
    credentials.remember_here(HERE, tmp_path / "admin-token")

    assert credentials.read() == Credentials(
        {HERE: Entry(token_file=str(tmp_path / "admin-token"))}, HERE
    )


def test_a_server_of_this_machine_signs_nobody_out(tmp_path: Path) -> None:
    credentials.remember(HERE, Entry("mine"))
    credentials.remember(THERE, Entry("other"))
    before = credentials.read()

    current = credentials.remember_here(HERE, tmp_path / "admin-token")

    assert current == THERE
    assert credentials.read() == before


def test_a_server_that_moved_has_one_entry(tmp_path: Path) -> None:
    credentials.remember_here(HERE, tmp_path / "admin-token")

    credentials.remember_here("http://127.0.0.1:9000", tmp_path / "admin-token")

    found = credentials.read()
    assert list(found.servers) == ["http://127.0.0.1:9000"]
    assert found.current == "http://127.0.0.1:9000"
