"""The log of a run in pages: what a browser without scripts shows of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape

import pytest

from backend.models import Run
from backend.runs import claims, logs
from backend.transactions import Installation
from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.visitor import Visitor

pytestmark = one_database


@pytest.fixture
def where(shop: str, run: str) -> str:
    return f"{shop}/runs/{run}/log"


@pytest.fixture
def say(server: Installation, run: str) -> Callable[[bytes], None]:
    """Append to the log of the run, as its worker does."""

    def append(text: bytes) -> None:
        with server.itself.transaction() as tx:
            logs.append(replace(tx, principal=claims.itself(tx.db.get_one(Run, run))), text)

    return append


def shown(page: str) -> str:
    """What stands in the log on a page."""
    found = re.search(r"<pre[^>]*>\n(.*?)</pre>", page, re.DOTALL)
    assert found is not None, page
    return unescape(found[1])


def link(page: str, text: str) -> str:
    found = re.search(rf'href="([^"]+)">{text}</a>', page)
    assert found is not None, page
    return unescape(found[1])


def test_a_log_is_shown_with_links_to_all_of_it(
    owner: Visitor, where: str, say: Callable[[bytes], None]
) -> None:
    say(b"first\nsecond\n")

    page = read_within(owner, where)

    assert shown(page) == "first\nsecond\n"
    assert owner.get(link(page, "Raw")).data == b"first\nsecond\n"
    assert f'href="/api/v1{where}?download=true" download' in page


def test_a_long_log_is_read_part_by_part_to_the_last_byte(
    owner: Visitor, where: str, say: Callable[[bytes], None]
) -> None:
    text = "".join(f"line {number:06}\n" for number in range(15_000))
    say(text.encode())
    page = read_within(owner, where)
    assert text.endswith(shown(page))
    assert len(shown(page)) == 64 * 1024
    assert "Later" not in page

    assert text.startswith(shown(owner.read(link(page, "Beginning"))))
    read, page = "", owner.read(f"{where}?offset=0")
    while ">Later<" in page:
        read += shown(page)
        page = read_within(owner, link(page, "Later"))

    assert read + shown(page) == text
    earlier = shown(owner.read(link(page, "Earlier")))
    assert earlier in text


def test_a_line_without_end_is_cut(
    owner: Visitor, where: str, say: Callable[[bytes], None]
) -> None:
    say("ä".encode() * 100_000)

    page = owner.read(f"{where}?offset=1")

    assert set(shown(page)) == {"ä", "\N{REPLACEMENT CHARACTER}"}
    assert shown(page).count("\N{REPLACEMENT CHARACTER}") <= 1
    assert ">Later<" in page


def test_hostile_output_is_harmless_and_visible(
    owner: Visitor, where: str, say: Callable[[bytes], None]
) -> None:
    say(
        b"\x1b[31mred\x1b[0m \x1b[2J\x1b[5;5H \x1b]0;title\x07 \0 \xff\xfe "
        b"</pre><script>alert(1)</script> \xe2\x80\xae 50%\rdone\r\n"
    )

    page = owner.read(where)

    assert shown(page) == (
        "red \\x1b[2J\\x1b[5;5H \\x1b]0;title\\x07 \\x00 \N{REPLACEMENT CHARACTER}"
        "\N{REPLACEMENT CHARACTER} </pre><script>alert(1)</script> \\u202e 50%\\rdone\n"
    )
    assert "<script>alert" not in page


def test_an_empty_log_says_so(owner: Visitor, where: str, boss: Caller) -> None:
    assert "Nothing is printed yet." in owner.read(where)

    boss.post(f"{where.removesuffix('/log')}/cancel")

    assert "This run printed nothing." in owner.read(where)


def test_offsets_that_are_none_are_ignored(
    owner: Visitor, where: str, say: Callable[[bytes], None]
) -> None:
    say(b"all\n")

    assert shown(owner.read(f"{where}?offset=-1")) == "all\n"
    assert shown(owner.read(f"{where}?offset=x")) == "all\n"
    assert shown(owner.read(f"{where}?offset=999")) == ""


def test_a_part_for_the_page_of_the_run_has_no_text(
    owner: Visitor, where: str, say: Callable[[bytes], None]
) -> None:
    say(b"secretly long\n")

    part = owner.get(where, headers={"HX-Request": "true"}).get_data(as_text=True)

    assert "secretly long" not in part
    assert 'id="log"' in part
    assert 'data-size="14"' in part


def test_the_log_is_for_those_in_the_project(
    visitor_of: Callable[..., Visitor], where: str
) -> None:
    guest, stranger = visitor_of("guest"), visitor_of(None)

    assert guest.get(where).status_code == 200
    assert guest.get(f"{where[:-5]}x/log").status_code == 404
    assert stranger.get(where).status_code == 404
