"""The pages of templates: the list, one of them, and the form."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from typing import Any

from tests.support.caller import Caller
from tests.support.databases import one_database
from tests.support.form_fields import fields_of
from tests.support.visitor import Visitor, words

AT = "/projects/shop/templates"
pytestmark = one_database
NASTY = "<img src=x onerror=alert(1)>\x1b[31m\u202e"


def test_a_list_shows_what_each_template_runs(owner: Visitor, boss: Caller, shop: str) -> None:
    boss.made(f"{shop}/keys", {"name": "deploy", "kind": "none"})
    changed(boss, f"{shop}/templates/app", {"ref": "main", "path": "envs/prod", "key": "deploy"})

    said = words(owner.read(AT))

    assert "https://git.example.com/team/app.git main · envs/prod terraform" in said
    assert "deploy 1 never" in said


def test_an_empty_list_leads_to_the_first_template(owner: Visitor, boss: Caller, shop: str) -> None:
    boss.made("/projects", {"name": "bare"})
    boss.put("/projects/bare/members/visitor-owner-false", {"role": "owner"})

    assert 'href="/projects/bare/templates/new"' in owner.read("/projects/bare/templates")


def test_a_template_is_made_with_every_field_of_the_form(owner: Visitor, boss: Caller) -> None:
    there = owner.done(
        AT,
        {
            "name": "all",
            "repository": "https://git.example.com/team/all.git",
            "key": "",
            "ref": "main",
            "path": "envs/prod",
            "workspace.name": "prod",
            "tool": "tofu",
            "tool_version": "~> 1.9",
            "backend_mode": "override",
            "override_file": "zz_override.tf",
            "ignored_wrappers": "terragrunt",
            "backend_config_files": "a.hcl\r\nb.hcl",
            "variable_files": "prod.tfvars",
            "survey.0.name": "colour",
            "survey.0.title": "Which colour?",
            "survey.0.type": "choice",
            "survey.0.kind": "terraform",
            "survey.0.choices": "red\r\nblue",
            "survey.0.default": "",
            "survey.0.required": "true",
            "survey.0.sensitive": "false",
            "survey.1.name": "",
            "survey.1.type": "string",
            "survey.1.kind": "terraform",
            "survey.1.required": "true",
            "free_variables": "true",
            "auto_approve": "unless_destroys",
            "rules.allow_destroys": "false",
            "rules.most_destroys": "",
            "rules.protected": "aws_kms_key.*",
            "rules.approval_types": "",
            "rules.second_person": "true",
            "rules.approval_hours": "12",
            "rules.if_broken.allow_destroys": "ask",
            "rules.if_broken.most_destroys": "refuse",
            "rules.if_broken.protected": "refuse",
            "rules.windows.0.from": "09:00",
            "rules.windows.0.to": "",
            "rules.windows.0.zone": "Europe/Zurich",
            "rules.windows.1.from": "",
            "rules.windows.1.zone": "",
            "queue": "big",
            "allowed_refs": "release/*",
            "secrets_for_pull_requests": "false",
            "submodules": "true",
            "lfs": "false",
            "timeouts.plan": "600",
            "timeouts.total": "",
            "rules.windows.0.days": ["mon", "fri"],
        },
    )

    assert there == f"{AT}/all"
    made = read(boss, f"{AT}/all")
    assert {name: made[name] for name in ("ref", "path", "tool", "tool_version", "queue")} == {
        "ref": "main", "path": "envs/prod", "tool": "tofu", "tool_version": "~> 1.9",
        "queue": "big",
    }  # fmt: skip
    assert made["rules"] == {
        "allow_destroys": False,
        "protected": ["aws_kms_key.*"],
        "second_person": True,
        "approval_hours": 12,
        "if_broken": {"allow_destroys": "ask"},
        "windows": [{"days": ["mon", "fri"], "from": "09:00", "zone": "Europe/Zurich"}],
    }
    (question,) = made["survey"]
    assert (question["name"], question["choices"], question["default"]) == (
        "colour", ["red", "blue"], None,
    )  # fmt: skip
    assert (made["timeouts"], made["allowed_refs"], made["ignored_wrappers"]) == (
        {"plan": 600}, ["release/*"], ["terragrunt"],
    )  # fmt: skip
    assert made["backend_config_files"] == ["a.hcl", "b.hcl"]
    assert (made["submodules"], made["lfs"], made["free_variables"]) == (True, False, True)
    assert "prod" in words(owner.read(there))


def test_a_form_that_is_sent_back_unchanged_changes_nothing(owner: Visitor, boss: Caller) -> None:
    changed(
        boss,
        f"{AT}/app",
        {
            "rules": {
                "protected": ["a.b"],
                "if_broken": "ask",
                "windows": [{"days": ["mon-wed", "sun"], "to": "18:00", "zone": "UTC"}],
            },
            "timeouts": {"apply": 60},
            "survey": [{"name": "size", "type": "number", "default": "3"}],
            "variable_files": ["a.tfvars"],
        },
    )
    before = read(boss, f"{AT}/app")

    owner.done(f"{AT}/app", fields_of(owner.read(f"{AT}/app/settings"), f"{AT}/app"))

    after = read(boss, f"{AT}/app")
    assert after.pop("rules") == {
        "protected": ["a.b"],
        "if_broken": "ask",
        "windows": [
            {"days": ["mon", "tue", "wed", "sun"], "to": "18:00", "zone": "UTC"},
        ],
    }
    assert after == {name: value for name, value in before.items() if name != "rules"}


def test_what_was_in_a_template_can_be_taken_away(owner: Visitor, boss: Caller) -> None:
    changed(boss,
        f"{AT}/app",
        {
            "ref": "main", "rules": {"protected": ["a.b"]}, "timeouts": {"apply": 60},
            "survey": [{"name": "size"}], "variable_files": ["a.tfvars"], "lfs": True,
            "ignored_wrappers": ["atmos"], "path": "x",
        },
    )  # fmt: skip

    owner.done(
        f"{AT}/app",
        {
            "ref": "", "path": "", "variable_files": "", "lfs": "false", "rules.protected": "",
            "repository": "https://git.example.com/team/app.git", "name": "app",
        },
    )  # fmt: skip

    left = read(boss, f"{AT}/app")
    names = ("ref", "path", "rules", "timeouts", "survey", "variable_files", "lfs")
    assert [left[name] for name in names] == [None, ".", {}, {}, [], [], False]
    assert left["ignored_wrappers"] == []


def test_wrong_input_is_refused_in_the_words_of_the_api(owner: Visitor, boss: Caller) -> None:
    before = read(boss, AT)

    for fields, code, said in (
        ({"repository": ""}, "invalid-request", "repository"),
        ({"repository": "ftp://h/x"}, "repository-url-refused", "only https"),
        ({"repository": "https://h.example/x", "ref": "a..b"}, "ref-invalid", "a..b"),
        (
            {"repository": "https://h.example/x", "rules.windows.0.zone": "Zurich"},
            "invalid-request",
            "Do you mean Europe/Zurich",
        ),
        ({"repository": "https://h.example/x", "timeouts.plan": "soon"}, "invalid-request", "plan"),
        (
            {"repository": "https://h.example/x", "survey.0.title": "Which?"},
            "invalid-request",
            "survey.0.name",
        ),
        ({"repository": "https://h.example/x", "key": "nobodys"}, "no-key", "nobodys"),
    ):
        answer = owner.send(AT, fields)

        assert answer.status_code == 422, fields
        page = answer.get_data(as_text=True)
        assert code in page
        assert said in unescape(page)
    assert read(boss, AT) == before


def test_a_template_is_deleted_when_its_name_was_typed_and_nothing_runs_it(
    owner: Visitor, boss: Caller
) -> None:
    assert "It cannot be deleted while a workspace runs it" in words(owner.read(f"{AT}/app"))
    answer = owner.send(f"{AT}/app/delete", {"typed": "app"})
    assert (answer.status_code, "template-in-use" in answer.get_data(as_text=True)) == (409, True)
    assert boss.delete("/projects/shop/workspaces/app").status_code == 204

    assert 'data-must-be="app"' in owner.read(f"{AT}/app")
    assert owner.send(f"{AT}/app/delete", {"typed": "other"}).status_code == 422
    assert owner.done(f"{AT}/app/delete", {"typed": "app"}) == AT
    assert read(boss, AT)["items"] == []


def test_a_name_that_means_a_page_is_refused(owner: Visitor) -> None:
    for name in ("new", "preview"):
        answer = owner.send(AT, {"name": name, "repository": "https://h.example/x"})

        assert (answer.status_code, "name-reserved" in answer.get_data(as_text=True)) == (422, True)


def test_each_role_sees_its_buttons_and_no_others(visitor_of: Callable[..., Visitor]) -> None:
    for role, manages, runs in (
        ("guest", False, False),
        ("task_runner", False, True),
        ("manager", True, True),
        ("owner", True, True),
    ):
        visitor = visitor_of(role)
        page = visitor.read(f"{AT}/app")

        assert ("New template" in visitor.read(AT)) is manages
        assert ("/settings" in page, "/runs/new" in page) == (manages, runs)
        for path in (f"{AT}/new", f"{AT}/app/settings"):
            assert visitor.get(path).status_code == (200 if manages else 403)
        assert visitor.send(AT, {"repository": f"https://h.example/{role}"}).status_code == (
            303 if manages else 403
        )


def test_a_stranger_finds_nothing(visitor_of: Callable[..., Visitor], shop: str) -> None:
    stranger = visitor_of(None)

    for path in (AT, f"{AT}/new", f"{AT}/app", f"{AT}/app/settings"):
        assert stranger.get(path).status_code == 404
    for path in (AT, f"{AT}/app", f"{AT}/app/delete"):
        assert stranger.send(path, {"repository": "https://h.example/x"}).status_code == 404


def test_hostile_text_is_shown_and_harmless(owner: Visitor, boss: Caller) -> None:
    changed(
        boss,
        f"{AT}/app",
        {"survey": [{"name": "x", "title": NASTY, "choices": [NASTY], "type": "choice"}]},
    )

    for path in (AT, f"{AT}/app", f"{AT}/app/settings"):
        page = owner.read(path)
        assert "<img" not in page


def read(boss: Caller, path: str) -> Any:
    return boss.get(path).json


def changed(boss: Caller, path: str, body: Any) -> None:
    answer = boss.patch(path, body)
    assert answer.status_code == 200, answer.json
