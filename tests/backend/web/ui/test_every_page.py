"""What holds for every page and every form, also for the next one that somebody adds.

A page that needs something in its address which `values` does not have fails the first test.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.routing import Rule

from backend.models import (
    Alias,
    Comment,
    Lock,
    Project,
    Run,
    StateVersion,
    Step,
    Template,
    Variable,
    Workspace,
)
from backend.principal import ROLES
from tests.support.caller import Caller
from tests.support.counted import MOST, counted
from tests.support.databases import one_database
from tests.support.operations import world
from tests.support.people import new_session
from tests.support.visitor import Visitor

pytestmark = one_database

HOSTILE = "</script><script>alert(1)</script>\"'><img src=x>\u202e\x1b[31m\x07"
RAW = re.compile("[\u202e\x1b\x07]|<script>alert|<img src=x")
# what a form sends back, or a button copies, is as it is
AS_IT_IS = re.compile(r'(value|data-copy|data-must-be)="[^"]*"|<textarea.*?</textarea>', re.DOTALL)
# who has no scope for it gets 403; everybody else in the project sees the page
FOR_SOME = {200, 403}
OPEN = ("ui-sign-in", "ui-single-sign-on")  # pages for who has not signed in
VOID = {"meta", "link", "input", "br", "hr", "img", "path", "rect", "line", "circle", "col"}


@pytest.fixture
def made(app: Flask, boss: Caller) -> world.World:
    return world.build(app.extensions["stateroom"])


@pytest.fixture
def values(app: Flask, boss: Caller, made: world.World) -> dict[str, str]:
    """What can stand in an address, by the name of the argument."""
    token = boss.made("/projects/shop/tokens", {"name": "ci", "scopes": ["runs:read"]})
    in_set = boss.made("/projects/shop/variable-sets/common/variables", {"name": "y", "value": "1"})
    with app.extensions["stateroom"].itself.reading() as tx:

        def one(model: Any, column: Any = None) -> str:
            return str(tx.db.scalars(select(column or model.id).limit(1)).one())

        return {
            "project": "shop", "workspace": "app", "template": "app", "run": made.run_id,
            "key": "login", "variable_set": "common", "user": "ann", "number": "1",
            "alias": one(Alias), "token": token["id"], "variable": one(Variable),
            "set_variable": in_set["id"], "credential": made.git_credential_id, "rescued_id": made.rescued_id,
            "cursor": "0_0",
        }  # fmt: skip


@pytest.fixture
def people(app: Flask, made: world.World) -> dict[str, Visitor]:
    """A visitor for each role in the project, an administrator of everything, and a stranger."""
    found = {role: Visitor(app, new_session(app, f"a-{role}", role)) for role in ROLES}
    found["stranger"] = Visitor(app, new_session(app, "a-stranger"))
    found["administrator"] = Visitor(app, new_session(app, "an-admin", admin=True))
    return found


def rules(app: Flask, method: str) -> Iterator[Rule]:
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("ui-") and method in (rule.methods or ()):
            yield rule


def address(rule: Rule, values: dict[str, str]) -> str:
    path = rule.rule
    for name in rule.arguments:
        path = re.sub(rf"<([^<>:]+:)?{name}>", values[name], path)
    return path


def pages(app: Flask, values: dict[str, str]) -> list[str]:
    """The addresses of all pages that people see who have signed in."""
    open_to_all = [rule for rule in rules(app, "GET") if rule.endpoint.startswith(OPEN)]
    return [address(rule, values) for rule in rules(app, "GET") if rule not in open_to_all]


def text_of(visitor: Visitor, path: str) -> str | None:
    """The page, unless this person may not see it, or it leads on to another one."""
    answer = visitor.get(path)
    assert answer.status_code < 500, path
    is_page = answer.status_code == 200 and answer.mimetype == "text/html"
    return answer.get_data(as_text=True) if is_page else None


def test_every_address_can_be_made(app: Flask, values: dict[str, str]) -> None:
    wanted = {
        name for method in ("GET", "POST") for r in rules(app, method) for name in r.arguments
    }

    assert wanted - {*values} == set()


def test_who_has_not_signed_in_is_led_there(
    app: Flask, nobody: Visitor, values: dict[str, str], people: object
) -> None:
    led = {path: nobody.get(path).headers.get("Location", "") for path in pages(app, values)}

    assert {path: to for path, to in led.items() if not to.startswith("/sign-in")} == {}


def test_a_stranger_gets_404_for_everything_in_a_project(
    app: Flask, people: dict[str, Visitor], values: dict[str, str]
) -> None:
    stranger = people["stranger"]
    token = stranger.form_token()
    inside = [rule for rule in app.url_map.iter_rules() if "project" in rule.arguments]
    seen = {}
    for rule in inside:
        if not rule.endpoint.startswith("ui-"):
            continue
        path = address(rule, values)
        if "GET" in (rule.methods or ()):
            seen[path] = stranger.get(path).status_code
        else:
            answer = stranger.client.post(
                path, data={"csrf": token}, headers={"Accept": "text/html"}
            )
            if (
                answer.status_code != 422
            ):  # what is wrong with the form is said before, of any project
                seen[f"POST {path}"] = answer.status_code

    assert {path: status for path, status in seen.items() if status != 404} == {}


def test_every_role_gets_a_page_or_a_reason(
    app: Flask, people: dict[str, Visitor], values: dict[str, str]
) -> None:
    for role in ROLES:
        for path in pages(app, values):
            if "/projects/" not in path:
                continue
            answer = people[role].get(path)
            assert answer.status_code in FOR_SOME | {303}, (role, path, answer.status_code)
            if role == "owner":
                assert answer.status_code != 403, path


def test_no_page_needs_many_statements(
    app: Flask, people: dict[str, Visitor], values: dict[str, str]
) -> None:
    many = {}
    for path in pages(app, values):
        for role in ("owner", "administrator"):
            people[role].get(path)  # the use of a token is noted once a minute
            with counted() as asked:
                people[role].get(path)
            if len(asked) > MOST:
                many[role, path] = len(asked)

    assert many == {}


def test_every_form_wants_the_token_of_its_browser(
    app: Flask, people: dict[str, Visitor], values: dict[str, str]
) -> None:
    owner = people["administrator"]
    for rule in rules(app, "POST"):
        answer = owner.client.post(address(rule, values), data={})
        found = answer.get_json(silent=True) or {}
        assert (answer.status_code, found.get("code")) == (403, "form-expired"), rule


def test_every_page_is_whole(
    app: Flask, people: dict[str, Visitor], values: dict[str, str]
) -> None:
    for path in pages(app, values):
        page = text_of(people["administrator"], path)
        if page is None:
            continue
        found = Outline(page)
        assert found.title.endswith("Stateroom"), path
        assert found.counts["h1"] == 1, (path, found.counts["h1"])
        assert found.unclosed == [], path
        assert [one for one, times in found.ids.items() if times > 1] == [], path
        assert found.inline == [], path
        assert "Do this from a terminal" in page or path.startswith(("/account", "/first")), path


def test_text_from_outside_is_harmless_on_every_page(
    app: Flask, people: dict[str, Visitor], values: dict[str, str]
) -> None:
    make_hostile(app)
    shown = 0
    for path in pages(app, values):
        for role in ("owner", "administrator"):
            page = text_of(people[role], path)
            if page is None:
                continue
            page = AS_IT_IS.sub("", page)
            found = RAW.search(page)
            assert found is None, (path, page[max(0, found.start() - 200) : found.end() + 50])
            shown += "alert(1)" in page

    assert shown > 5, "the text has to be somewhere, or nothing is tested"


def make_hostile(app: Flask) -> None:
    """Put hostile text wherever somebody outside can put one."""
    texts: dict[type[Any], tuple[str, ...]] = {
        Project: ("description",),
        Template: ("ref", "path"),
        Workspace: ("frozen_reason", "frozen_by"),
        Run: ("message", "ref", "error_message", "tool", "sandbox", "worker", "repository"),
        StateVersion: ("operation", "terraform_version", "created_by", "lock_id"),
        Lock: ("lock_id", "held_by"),
    }
    with app.extensions["stateroom"].itself.transaction() as tx:
        for model, columns in texts.items():
            for row in tx.db.scalars(select(model)):
                for column in columns:
                    setattr(row, column, HOSTILE)
        for lock in tx.db.scalars(select(Lock)):
            lock.held = True
            lock.info = dict.fromkeys(
                ("ID", "Who", "Info", "Operation", "Version", "Path"), HOSTILE
            )
        for run in tx.db.scalars(select(Run)):
            run.warnings, run.error_code, run.targets = [HOSTILE], "init-failed", [HOSTILE]
            run.status = "errored"
            run.detection = {"verdict": "explicit", "file": HOSTILE, "line": 3, "why": HOSTILE}
            detail = {"commit": HOSTILE, "subject": HOSTILE}
            tx.db.add(
                Step(run_id=run.id, epoch=1, position=1, name="clone", status="done", detail=detail)
            )
            tx.db.add(Comment(run_id=run.id, text=HOSTILE, created_by=HOSTILE))


class Outline(HTMLParser):
    """What a page consists of, and what is wrong with it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.unclosed: list[str] = []
        self.inline: list[str] = []
        self.title = ""
        self._open: list[str] = []
        self.feed(page)
        self.unclosed += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] += 1
        if tag not in VOID:
            self._open.append(tag)
        for name, value in attrs:
            if name == "id" and value:
                self.ids[value] += 1
            if name == "style" or name.startswith(("on", "hx-on")):
                self.inline.append(f"{tag} {name}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()
        else:
            self.unclosed.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title" and "svg" not in self._open:
            self.title += data
