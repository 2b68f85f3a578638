"""The page of known hosts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pytest

from backend.config import Settings
from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.sshd import Sshd, any_sshd, host_key
from tests.support.visitor import Visitor, words

pytestmark = one_database
HOSTS = "/projects/shop/hosts"
LINE = f"git.example.com {host_key().public}"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Hosts of this machine may be asked."""
    return settings.model_copy(update={"allow_private_hosts": True})


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with any_sshd(tmp_path / "sshd") as server:
        yield server


def test_a_host_is_asked_and_its_key_is_stored_after_a_look(
    owner: Visitor, boss: Caller, sshd: Sshd
) -> None:
    asked = owner.send(f"{HOSTS}/scan", {"host": f"127.0.0.1:{sshd.port}"})

    assert asked.status_code == 200
    page = asked.get_data(as_text=True)
    assert sshd.fingerprint in page
    assert "Compare the fingerprints" in page
    assert boss.get("/projects/shop").json["known_hosts"] == ""
    lines = re.search(r'name="lines"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
    assert lines is not None
    owner.done(HOSTS, {"lines": unescape(lines[1])})
    assert boss.get("/projects/shop").json["known_hosts"] == f"{sshd.known_hosts_line.strip()}\n"
    again = owner.send(f"{HOSTS}/scan", {"host": f"127.0.0.1:{sshd.port}"})
    assert "There is nothing to add" in words(again.get_data(as_text=True))


def test_another_key_of_a_known_host_is_not_offered(owner: Visitor, sshd: Sshd) -> None:
    owner.done(HOSTS, {"lines": sshd.known_as(host_key())})

    asked = owner.send(f"{HOSTS}/scan", {"host": f"127.0.0.1:{sshd.port}"})

    page = asked.get_data(as_text=True)
    assert "is known by another key" in words(page)
    assert 'name="lines"' not in page


def test_a_host_that_shows_no_key_is_told_of(owner: Visitor) -> None:
    for host in ("127.0.0.1:1", "-oProxyCommand=x", "a b", ""):
        answer = owner.send(f"{HOSTS}/scan", {"host": host})
        assert answer.status_code == 422, host
        assert "no-host-key" in answer.get_data(as_text=True), host


def test_pasted_lines_are_added_once_and_removed(owner: Visitor, boss: Caller) -> None:
    owner.done(HOSTS, {"lines": f"# ours\n{LINE}\n"})
    assert owner.done(HOSTS, {"lines": LINE}) == HOSTS

    page = owner.read(HOSTS)
    assert "knows these keys already" in page
    assert len(re.findall(r"<td>[^<]*git.example.com", page)) == 1
    owner.done(f"{HOSTS}/remove", {"line": LINE})
    assert boss.get("/projects/shop").json["known_hosts"] == ""
    assert owner.send(f"{HOSTS}/remove", {"line": LINE}).status_code == 404


@pytest.mark.parametrize(
    "wrong", ["git.example.com", "h ssh-rsa AAA", "h ssh-rsa <b>x</b>", "h\x1b ssh-rsa AAAA"]
)
def test_what_is_no_host_key_is_refused_with_its_line(owner: Visitor, wrong: str) -> None:
    answer = owner.send(HOSTS, {"lines": f"{LINE}\n{wrong}"})

    assert answer.status_code == 422
    assert "Line 2 is not a host key" in words(answer.get_data(as_text=True))
    assert "No hosts of your own" in owner.read(HOSTS)


def test_accepting_new_hosts_is_a_choice(owner: Visitor, boss: Caller) -> None:
    owner.done(f"{HOSTS}/new-keys", {"accept_new_host_keys": ["false", "true"]})
    assert boss.get("/projects/shop").json["accept_new_host_keys"] is True

    owner.done(f"{HOSTS}/new-keys", {"accept_new_host_keys": "false"})
    assert boss.get("/projects/shop").json["accept_new_host_keys"] is False


def test_lines_that_the_api_took_are_shown_harmlessly(owner: Visitor, boss: Caller) -> None:
    boss.patch(
        "/projects/shop", {"known_hosts": "<script>x</script> ssh-rsa !!!\n|1|a|b ssh-x AAAA\n"}
    )

    page = owner.read(HOSTS)

    assert "<script>x" not in page
    assert "cannot be read" in page
    assert "a hashed name" in page


def test_everybody_sees_the_hosts_and_owners_change_them(
    visitor_of: Callable[..., Visitor],
) -> None:
    for role in ("manager", "task_runner", "guest"):
        visitor = visitor_of(role)
        page = visitor.read(HOSTS)
        assert "github.com" in page
        assert '<form method="post" action="/projects' not in page, role
        for path in (HOSTS, f"{HOSTS}/scan", f"{HOSTS}/remove", f"{HOSTS}/new-keys"):
            fields = {
                "lines": LINE,
                "host": "127.0.0.1:1",
                "line": LINE,
                "accept_new_host_keys": "true",
            }
            assert visitor.send(path, fields).status_code == 403, (role, path)
    stranger = visitor_of(None)
    assert stranger.get(HOSTS).status_code == 404
    assert stranger.send(f"{HOSTS}/scan", {"host": "127.0.0.1:1"}).status_code == 404


def test_the_page_takes_few_statements(owner: Visitor) -> None:
    read_within(owner, HOSTS)
