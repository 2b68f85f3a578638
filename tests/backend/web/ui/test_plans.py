"""The plan of a run in pages: a tree of modules, its filters, and attributes before and after."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest

from backend.models import Run
from backend.transactions import Installation
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.kept_plans import keep_plan
from tests.support.plans import plan_json, resource
from tests.support.visitor import Visitor, words

pytestmark = one_database
CANARY = "canary-3f9a1c77"
MINUS = "\N{MINUS SIGN}"
HOSTILE = 'a.b["<script>alert(1)</script>\u202e\u0007"]'


@pytest.fixture
def where(shop: str, run: str) -> str:
    return f"{shop}/runs/{run}/plan"


def changed(address: str, before: Any, after: Any, **more: Any) -> dict[str, Any]:
    return resource(address, actions=["update"], before=before, after=after, **more)


def gone(address: str) -> dict[str, Any]:
    return resource(address, actions=["delete"], before={"n": 1}, after=None)


def replaced(address: str, **more: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"before": {"n": 1}, "after": {"n": 2}, "replace_paths": [["n"]]}
    head = resource(address, actions=["delete", "create"], **values | more)
    return head | {"action_reason": "replace_because_cannot_update"}


def addresses(page: str) -> list[str]:
    found = re.findall(r'aria-label="Copy the address ([^"]+)"', page)
    return [unescape(address) for address in found]


def next_of(page: str) -> str | None:
    """The address of the next page."""
    found = re.search(r'rel="next" href="([^"]+)"', page)
    return unescape(found[1]) if found else None


def link_of(page: str, place: int = 0) -> str:
    """The address of the attributes of a resource."""
    found: list[str] = re.findall(r'href="(/projects/[^"]+/resources/[^"]+)"', page)
    return found[place]


def test_a_plan_is_a_tree_of_modules_with_counts(
    owner: Visitor, server: Installation, run: str, where: str
) -> None:
    content = plan_json(
        changed("a.first", {"n": 1}, {"n": 2}),
        resource('module.net["x.y"].module.inner[0].a.deep', after={}),
        gone('module.net["x.y"].a.old'),
        replaced("a.second"),
    )
    keep_plan(server, run, content)

    page = read_within(owner, where)

    said = words(page)
    assert f"+2 to create ~1 to change {MINUS}2 to destroy" in said
    assert "1 replacement, which is in both" in said
    assert f'module.net["x.y"] +1 {MINUS}1' in said
    assert "module.inner[0] +1" in said
    assert f"{MINUS}/+ replace a.second" in said
    assert "~ update a.first" in said
    assert addresses(page)[0] == "a.second"  # what is destroyed comes first in its module


def test_filters_show_destroys_and_replacements(
    owner: Visitor, server: Installation, run: str, where: str
) -> None:
    content = plan_json(
        resource("a.new", after={}), replaced("module.m.a.other"), gone("module.z.a.old")
    )
    keep_plan(server, run, content)

    assert addresses(owner.read(f"{where}?action=destroys")) == [
        "module.z.a.old",
        "module.m.a.other",
    ]
    assert addresses(owner.read(f"{where}?action=replacements")) == ["module.m.a.other"]
    assert addresses(owner.read(f"{where}?q=MODULE.Z")) == ["module.z.a.old"]
    assert addresses(owner.read(f"{where}?action=creates&q=old")) == []
    assert "No resource of this plan is like that" in owner.read(f"{where}?q=nowhere")
    assert len(addresses(owner.read(f"{where}?action=unheard-of"))) == 3


def test_attributes_are_shown_before_and_after(
    owner: Visitor, server: Installation, run: str, where: str
) -> None:
    one = replaced(
        "a.b",
        before={"n": 1, "name": "old", "tags": {"a": 1, "b": [1, 2]}, "same": "x", "none": None},
        after={"n": 2, "name": "new", "tags": {"a": 1, "b": [1, 3]}, "same": "x", "none": None},
        after_unknown={"id": True, "tags": {"c": True}},
    )
    keep_plan(server, run, plan_json(one))

    page = owner.read(link_of(owner.read(where)))

    said = words(page)
    assert "it cannot be changed in place" in said
    assert "The old one is destroyed before the new one is created" in said
    assert "n forces replacement 1 2" in said
    assert 'name "old" "new"' in said
    assert "- 2" in said
    assert "+ 3" in said
    assert '+ "c": (known after apply)' in said
    assert "id (known after apply)" in said
    assert "1 attribute stays the same" in said
    assert "none" not in re.findall(r'scope="row"><code>([^<]+)', page)


def test_text_with_lines_and_json_in_text_are_compared_by_lines(
    owner: Visitor, server: Installation, run: str, where: str
) -> None:
    text = "\n".join(f"line {number}" for number in range(20))
    policy = '{"Version": "1", "Statement": ["a", "b"]}'
    one = changed(
        "a.b",
        {"script": text, "policy": policy},
        {"script": text.replace("line 7", "line seven"), "policy": policy.replace('"b"', '"c"')},
    )
    keep_plan(server, run, plan_json(one))

    said = words(owner.read(f"{where}?expand=all"))

    assert "- line 7 + line seven" in said
    assert "4 lines stay the same" in said
    assert "9 lines stay the same" in said
    assert '- "b" + "c"' in said


def test_what_is_sensitive_is_in_no_page(
    owner: Visitor, server: Installation, run: str, where: str
) -> None:
    one = changed(
        "a.b",
        {"password": CANARY, "list": ["x", CANARY]},
        {"password": f"{CANARY}2", "list": ["x", CANARY]},
        before_sensitive={"password": True, "list": [False, True]},
        after_sensitive={"password": True, "list": [False, True]},
    )
    output = {"actions": ["create"], "before": None, "after": CANARY, "after_sensitive": True}
    keep_plan(server, run, plan_json(one, resource_drift=[one], output_changes={"o": output}))
    page = owner.read(where)

    paths = (f"{where}?expand=all", f"{where}/outputs", f"{where}/drift", link_of(page))
    read = [page, *(owner.read(path) for path in paths)]

    assert [CANARY in page for page in read] == [False] * 5
    assert "password (sensitive) (sensitive)" in words(read[1])
    assert "value (sensitive)" in words(read[2])
    assert "1 resource changed outside" in words(page)


def test_what_rules_say_stands_at_the_resources_that_they_name(
    owner: Visitor, server: Installation, run: str, where: str
) -> None:
    keep_plan(server, run, plan_json(gone("a.b[1]"), gone("a.b[10]"), gone("a.c")))
    said = "The plan destroys what the template protects (protected): a.b[1], a.c."
    finding = {"rule": "protected", "message": said, "decision": "refuse"}
    with server.itself.transaction() as tx:
        tx.db.get_one(Run, run).findings = [finding]

    items = re.split(r'<div class="item', owner.read(where))[1:]

    assert ["protected" in item for item in items] == [True, False, True]


def test_a_plan_of_five_thousand_changes_comes_in_pages(
    owner: Visitor, server: Installation, run: str, where: str
) -> None:
    many = [
        resource(f'module.m["{number // 50}"].aws_thing.some[{number}]', after={"n": number})
        for number in range(5000)
    ]
    keep_plan(server, run, plan_json(*many, gone("module.last.a.gone")))
    answer = owner.get(where, headers={"Accept-Encoding": "gzip"})
    assert len(answer.data) < 150_000

    found: list[str] = []
    address: str | None = where
    while address:
        page = read_within(owner, address)
        found += addresses(page)
        address = next_of(page)

    assert len(found) == len({*found}) == 5001
    assert "1 to 250 of 5,001 resources" in words(owner.read(where))
    assert addresses(owner.read(f"{where}?action=destroys")) == ["module.last.a.gone"]


def test_a_page_with_all_attributes_ends_before_it_is_too_large(
    owner: Visitor, server: Installation, run: str, where: str
) -> None:
    many = [resource(f"a.b[{number}]", after={"x": "y" * 20_000}) for number in range(20)]
    keep_plan(server, run, plan_json(*many))

    page = read_within(owner, f"{where}?expand=all")

    shown = page.count('class="planned"')
    assert 1 < shown < 20
    assert addresses(owner.read(next_of(page) or ""))[0] == f"a.b[{shown}]"


def test_hostile_names_and_values_are_harmless(
    owner: Visitor, server: Installation, run: str, where: str
) -> None:
    one = resource(HOSTILE, after={"<script>": "</code><script>alert(2)</script>\u202e\r"})
    keep_plan(server, run, plan_json(one, output_changes={
        "<script>": {"actions": ["create"], "before": None, "after": "<script>\u200b"},
    }))  # fmt: skip

    for page in (owner.read(where), owner.read(f"{where}?expand=all&q=<script>")):
        assert "<script>" not in page.split("</head>")[1]
        assert "\\u202e" in page
        assert not re.search("[\u202e\u0007\u200b]", re.sub(r'data-copy="[^"]*"', "", page))


def test_a_run_without_a_plan_says_why(owner: Visitor, where: str) -> None:
    page = owner.read(where)

    assert "There is no plan yet: it is queued." in page
    assert 'hx-trigger="refresh, run:changed from:document"' in page
    assert owner.get(f"{where}/outputs").status_code == 404
    assert owner.get(f"{where}/resources/0_0").status_code == 404


def test_addresses_of_another_plan_are_refused(
    owner: Visitor, server: Installation, run: str, where: str
) -> None:
    keep_plan(server, run)

    assert owner.get(f"{where}/resources/0_0").status_code == 200
    assert owner.get(f"{where}/resources/0_1").status_code == 404
    assert owner.get(f"{where}/resources/7_0").status_code == 409
    assert owner.get(f"{where}?cursor=x").status_code == 409


def test_everybody_in_the_project_sees_the_plan_and_few_its_json(
    visitor_of: Callable[..., Visitor], server: Installation, run: str, where: str
) -> None:
    keep_plan(server, run)

    for role, sees_json in (("owner", True), ("task_runner", False), ("guest", False)):
        assert ("JSON with secrets" in visitor_of(role).read(where)) is sees_json, role
    stranger = visitor_of(None)
    for path in (where, f"{where}/outputs", f"{where}/resources/0_0"):
        assert stranger.get(path).status_code == 404
