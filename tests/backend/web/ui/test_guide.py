"""The first-run guide: each step makes the real thing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.caller import Caller
from tests.support.databases import one_database
from tests.support.form_fields import fields_of
from tests.support.repositories import Repository
from tests.support.visitor import Visitor, words

pytestmark = one_database
NEEDY = """
variable "size" { type = number }
variable "zones" { type = list(string) }
variable "password" {
  type      = string
  sensitive = true
}
variable "given" { default = 1 }
"""


@pytest.fixture
def sources(tmp_path: Path, boss: Caller) -> Repository:
    return Repository(tmp_path / "infra", {"main.tf": NEEDY})


def test_the_guide_leads_from_nothing_to_a_run(
    administrator: Visitor, boss: Caller, sources: Repository
) -> None:
    there = administrator.done("/guide", {"name": "first"})
    assert there == "/guide/first/repository"

    fields = fields_of(administrator.read(there), there)
    there = administrator.done(there, {**fields, "repository": [str(sources.folder)]})
    assert there == "/guide/first/templates/infra/variables"
    made = boss.get("/projects/first/templates/infra").json
    assert (made["tool_version"], made["ref"], made["path"]) == ("auto", None, ".")

    assert "Looking at the repository" in administrator.read(there)
    needed = administrator.send("/guide/first/templates/infra/needed").get_data(as_text=True)
    answers = {
        **fields_of(needed, there), "variables.0.value": "3",
        "variables.1.value": '["a", "b"]', "variables.2.value": "hunter2hunter2",
    }  # fmt: skip
    there = administrator.done(there, answers)
    assert there == "/guide/first/templates/infra/plan"
    given = boss.get("/projects/first/workspaces/infra/variables").json["items"]
    assert {one["name"]: (one["type"], one["sensitive"]) for one in given} == {
        "size": ("number", False), "zones": ("hcl", False), "password": ("string", True),
    }  # fmt: skip

    again = administrator.send("/guide/first/templates/infra/needed").get_data(as_text=True)
    assert "nothing is missing" in again
    there = administrator.done(there, fields_of(administrator.read(there), there))
    run = boss.get("/projects/first/runs").json["items"][0]
    assert there == f"/projects/first/runs/{run['id']}"
    assert (run["operation"], run["status"]) == ("apply", "queued")
    assert "Go on" in administrator.read("/guide/first")
    assert "/guide/first" in administrator.read("/guide")


def test_the_way_to_a_key_and_back_keeps_what_was_typed(owner: Visitor, boss: Caller) -> None:
    typed = {"repository": "git@git.example.com:team/app.git", "ref": "main", "tool": "tofu"}

    there = owner.done("/guide/shop/repository/key", {**typed, "path": "", "key": ""})
    assert there == f"/guide/shop/key?{urlencode(typed)}"
    page = owner.read(there)
    fields = fields_of(page, "/guide/shop/key")
    assert fields["generate"] == ["true"]
    there = owner.done("/guide/shop/key", fields)

    key = boss.get("/projects/shop/keys/deploy").json
    shown = owner.read(there)
    assert key["public_key"] in shown
    assert "PRIVATE KEY" not in shown
    back = f"/guide/shop/repository?{urlencode({**typed, 'key': 'deploy'})}"
    assert back.replace("&", "&amp;") in shown
    form = fields_of(owner.read(back), "/guide/shop/repository")
    assert {name: form[name] for name in (*typed, "key")} == {
        **{name: [value] for name, value in typed.items()}, "key": ["deploy"],
    }  # fmt: skip


def test_an_address_of_https_asks_for_a_token(owner: Visitor, boss: Caller) -> None:
    typed = {"repository": "https://git.example.com/app.git"}

    page = owner.read(f"/guide/shop/key?{urlencode(typed)}")
    assert "Make a new one here" not in page
    fields = {**fields_of(page, "/guide/shop/key"), "username": "me", "password": "x" * 12}

    there = owner.done("/guide/shop/key", fields)

    assert there == f"/guide/shop/repository?{urlencode({**typed, 'key': 'password'})}"
    assert boss.get("/projects/shop/keys/password").json["kind"] == "password"


def test_going_back_changes_what_was_made(
    owner: Visitor, boss: Caller, sources: Repository
) -> None:
    owner.done("/guide/shop/repository", {"repository": str(sources.folder)})
    page = owner.read("/guide/shop/repository?template=infra")
    fields = fields_of(page, "/guide/shop/repository")

    owner.done("/guide/shop/repository", {**fields, "ref": "main"})

    names = [one["name"] for one in boss.get("/projects/shop/templates").json["items"]]
    assert names == ["app", "infra"]
    assert boss.get("/projects/shop/templates/infra").json["ref"] == "main"


def test_a_form_that_is_sent_twice_makes_one_thing(
    owner: Visitor, boss: Caller, sources: Repository
) -> None:
    fields = fields_of(owner.read("/guide/shop/repository"), "/guide/shop/repository")
    fields["repository"] = [str(sources.folder)]

    assert owner.done("/guide/shop/repository", fields) == owner.done(
        "/guide/shop/repository", fields
    )

    assert len(boss.get("/projects/shop/templates").json["items"]) == 2


def test_what_is_wrong_with_the_sources_is_told_where_variables_are_asked(
    owner: Visitor, boss: Caller, sources: Repository
) -> None:
    owner.done("/guide/shop/repository", {"repository": str(sources.folder), "path": "not/there"})

    said = words(owner.send("/guide/shop/templates/infra/needed").get_data(as_text=True))

    assert "The repository has no folder not/there" in said
    assert "Back to the repository" in said


def test_wrong_input_is_refused(owner: Visitor, administrator: Visitor, boss: Caller) -> None:
    assert administrator.send("/guide", {"name": "a b"}).status_code == 422
    assert owner.send("/guide", {"name": "mine"}).status_code == 403
    for fields in ({"repository": ""}, {"repository": "ftp://h/x"}):
        assert owner.send("/guide/shop/repository", fields).status_code == 422
    assert owner.send("/guide/shop/key", {"kind": "ssh", "private_key": "x"}).status_code == 422
    answers = {"variables.0.name": "a b", "variables.0.value": "1"}
    assert owner.send("/guide/shop/templates/app/variables", answers).status_code == 422
    assert owner.get("/guide/shop/templates/other/variables").status_code == 404


def test_each_role_is_led_as_far_as_it_may_go(visitor_of: Callable[..., Visitor]) -> None:
    steps = (
        "/guide/shop", "/guide/shop/repository", "/guide/shop/key",
        "/guide/shop/templates/app/variables", "/guide/shop/templates/app/plan",
    )  # fmt: skip
    for role, status in (("manager", 200), ("task_runner", 403), ("guest", 403), (None, 404)):
        visitor = visitor_of(role)
        for step in steps:
            assert visitor.get(step).status_code == status, (role, step)
        first = visitor.read("/guide")
        assert "Make the project" not in first
        assert ("/guide/shop" in first) is (role is not None)
