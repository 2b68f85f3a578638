"""The preview beside the form of a template."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest

from tests.support.caller import Caller
from tests.support.databases import one_database
from tests.support.repositories import MODULE, S3_BACKEND, Repository
from tests.support.visitor import Visitor, words

pytestmark = one_database
AT = "/projects/shop/templates/preview"
PART = {"HX-Request": "true"}
NASTY = "<img src=x onerror=alert(1)>\u202e"


@pytest.fixture
def sources(tmp_path: Path, shop: str) -> Repository:
    return Repository(tmp_path / "infra")


def look(visitor: Visitor, sources: Repository, **fields: str) -> str:
    given = {"repository": str(sources.folder), "key": "", "ref": "", "path": "", **fields}
    answer = visitor.send(AT, given, headers=PART)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_data(as_text=True)


def test_the_form_tells_what_would_be_injected(owner: Visitor, sources: Repository) -> None:
    sources.commit({"v.tf": 'variable "size" {\n  type = number\n}\n'})

    said = words(look(owner, sources, **{"workspace.name": "prod", "name": "x"}))

    assert "a run can begin" in said
    assert "Backend of the sources none" in said
    assert "Stateroom keeps it. A run writes" in said
    assert "/api/terraform/state/shop/prod" in said
    assert "size number needed" in said
    assert 'greeting string "hello"' in said


def test_a_backend_of_the_sources_is_kept(owner: Visitor, sources: Repository) -> None:
    sources.replace({"main.tf": MODULE, "backend.tf": S3_BACKEND})

    said = words(look(owner, sources))

    assert "backend:s3 in backend.tf:2" in said.replace(" :", ":")
    assert "Nothing is injected" in said


def test_what_is_missing_can_be_chosen_from_what_is_there(
    owner: Visitor, sources: Repository
) -> None:
    sources.replace({"envs/prod/main.tf": MODULE})
    sources.branch("release", {})

    assert 'data-fill="path" data-value="envs/prod"' in look(owner, sources)
    assert 'data-fill="ref" data-value="release"' in look(owner, sources, ref="releases")


def test_without_a_script_the_preview_is_a_page(owner: Visitor, sources: Repository) -> None:
    page = owner.send(AT, {"repository": str(sources.folder)}).get_data(as_text=True)

    assert "<title>What a run would find" in page
    assert "a run can begin" in page


def test_an_empty_form_is_no_mistake(owner: Visitor, shop: str) -> None:
    answer = owner.send(AT, {"repository": " "}, headers=PART)

    assert (answer.status_code, "Name a repository" in answer.get_data(as_text=True)) == (200, True)


def test_wrong_input_is_refused_in_words(owner: Visitor, shop: str) -> None:
    answer = owner.send(AT, {"repository": "ftp://h.example/x"}, headers=PART)

    assert answer.status_code == 422
    assert "only https" in answer.get_data(as_text=True)


def test_text_of_a_repository_is_harmless(owner: Visitor, sources: Repository) -> None:
    sources.replace({
        "main.tf": f'variable "x" {{\n  default = "{NASTY}"\n  description = "{NASTY}"\n}}\n',
        "<script>.tf": f'terraform {{\n  required_version = "{NASTY}"\n}}\n',
        "b.tf": f'terraform {{\n  backend "{NASTY}" {{}}\n}}\n',
    })  # fmt: skip
    sources.commit({}, message=NASTY)

    page = look(owner, sources)

    assert "<img" not in page
    assert "<script" not in page
    assert "\u202e" not in unescape(page)


def test_a_password_goes_to_a_host_only_when_somebody_says_so(
    owner: Visitor, boss: Caller, sources: Repository
) -> None:
    login = {"name": "login", "kind": "password", "username": "me", "password": "x" * 12}
    boss.made("/projects/shop/keys", login)
    fields = {"repository": "https://127.0.0.1/x", "key": "login"}

    typed = owner.send(AT, fields, headers=PART)
    pressed = owner.send(AT, {**fields, "pressed": "yes"}, headers=PART)

    assert (typed.status_code, "press Look" in typed.get_data(as_text=True)) == (422, True)
    assert "private, local or metadata" in pressed.get_data(as_text=True)
    entries = boss.get("/audit").json["items"]
    assert [
        one["detail"]["repository"] for one in entries if one["action"] == "template.preview"
    ] == ["https://127.0.0.1/x"]


def test_who_may_not_manage_templates_looks_at_nothing(
    visitor_of: Callable[..., Visitor], sources: Repository
) -> None:
    for role, status in (("guest", 403), ("task_runner", 403), (None, 404)):
        visitor = visitor_of(role)
        for repository in ("", str(sources.folder)):
            assert visitor.send(AT, {"repository": repository}).status_code == status


def test_only_an_owner_may_trust_a_host(
    visitor_of: Callable[..., Visitor], sources: Repository, shop: str
) -> None:
    manager = visitor_of("manager")

    assert manager.send(f"{AT}/host", {"host": "127.0.0.1"}).status_code == 403
    assert manager.send(f"{AT}/host/add", {"lines": "h ssh-rsa AAAA"}).status_code == 403
