from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.caller import Caller, refused
from tests.support.databases import one_database

REPOSITORY = "https://git.example.com/team/net.git"


def test_a_template_comes_with_its_default_workspace(boss: Caller) -> None:
    boss.made("/projects", {"name": "shop"})
    variables = [
        {"name": "region", "value": "eu"},
        {"kind": "environment", "name": "A", "value": ""},
    ]

    made = boss.made(
        "/projects/shop/templates",
        {
            "repository": REPOSITORY,
            "ref": "v1.2.0",
            "path": "./envs//prod/",
            "tool": "tofu",
            "tool_version": "1.9.0",
            "backend_mode": "override",
            "workspace": {"name": "prod", "variables": variables},
        },
    )

    assert made["name"] == "net"
    assert made["path"] == "envs/prod"
    assert boss.get("/projects/shop/templates/net").json == made
    workspace = boss.get("/projects/shop/workspaces/prod").json
    assert made["default_workspace_id"] == workspace["id"]
    assert boss.get("/projects/shop").json["default_workspace_id"] == workspace["id"]
    assert len(boss.get("/projects/shop/workspaces/prod/variables").json["items"]) == 2


def test_names_come_from_the_repository_and_are_made_unique(boss: Caller, shop: str) -> None:
    first = boss.made(f"{shop}/templates", {"repository": "git@example.com:team/My_App.Infra.git"})
    again = boss.made(f"{shop}/templates", {"repository": "git@example.com:team/My_App.Infra.git"})
    odd = boss.made(f"{shop}/templates", {"repository": "https://example.com/ÄÖÜ"})

    assert [first["name"], again["name"]] == ["my_app.infra", "my_app.infra-2"]
    assert odd["name"] == "template"
    names = [w["name"] for w in boss.get(f"{shop}/workspaces").json["items"]]
    assert names == ["app", "my_app.infra", "my_app.infra-2", "template"]


@one_database
@pytest.mark.parametrize(
    "repository",
    [
        "https://bot:secret@git.example.com/app.git",
        "-oProxyCommand=evil",
        "ext::sh -c id",
        "ftp://git.example.com/app.git",
        "https://",
        "https://git.example.com",
        "https://git.example.com:port/app",
        "git.example.com",
        " https://git.example.com/app.git",
        "https://git.example.com/app\x07.git",
        "https://git.example.com/app\x00.git",
    ],
)
def test_a_repository_that_git_should_not_see_is_refused(
    boss: Caller, shop: str, repository: str
) -> None:
    answer = boss.post(f"{shop}/templates", {"repository": repository})

    problem = refused(answer, 422, "repository-url-refused")
    assert "secret" not in problem["detail"]


@one_database
@pytest.mark.parametrize(
    ("repository", "setting"),
    [
        ("/srv/git/net", "STATEROOM_LOCAL_REPOSITORIES"),
        ("file:///srv/git/net", "STATEROOM_LOCAL_REPOSITORIES"),
        ("http://git.example.com/net.git", "STATEROOM_ALLOW_PLAIN_HTTP"),
    ],
)
def test_a_repository_that_no_worker_would_clone_is_refused_by_the_setting_that_allows_it(
    boss: Caller, shop: str, repository: str, setting: str
) -> None:
    made = refused(
        boss.post(f"{shop}/templates", {"repository": repository}), 422, "repository-url-refused"
    )
    changed = refused(
        boss.patch(f"{shop}/templates/app", {"repository": repository}),
        422,
        "repository-url-refused",
    )

    assert setting in made["detail"]
    assert changed["detail"] == made["detail"]


@one_database
def test_a_repository_in_an_allowed_folder_makes_a_template(
    boss: Caller, shop: str, tmp_path: Path
) -> None:
    made = boss.made(f"{shop}/templates", {"repository": str(tmp_path / "net")})

    assert made["name"] == "net"


@one_database
@pytest.mark.parametrize(
    "ref",
    ["", "-x", "a b", "a..b", "a~1", "HEAD@{1}", "x.lock", "a\nb", "/a", "a/", "a:b", "a\x00"],
)
def test_a_ref_that_git_would_misread_is_refused(boss: Caller, shop: str, ref: str) -> None:
    refused(boss.patch(f"{shop}/templates/app", {"ref": ref}), 422, "ref-invalid")


@one_database
@pytest.mark.parametrize("ref", ["main", "feature/x-1", "v1.0.0", "0" * 40, None])
def test_a_branch_a_tag_a_commit_or_the_default_may_be_the_ref(
    boss: Caller, shop: str, ref: str | None
) -> None:
    assert boss.patch(f"{shop}/templates/app", {"ref": ref}).json["ref"] == ref


@one_database
@pytest.mark.parametrize(
    "path", ["..", "a/../../b", "/etc", "-x", "a\\b", "a\nb", ".git", "a/.GIT/b"]
)
def test_a_path_that_leaves_the_repository_is_refused(boss: Caller, shop: str, path: str) -> None:
    refused(boss.patch(f"{shop}/templates/app", {"path": path}), 422, "path-invalid")


@one_database
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid-request"),
        ({"repository": 5}, "invalid-request"),
        ({"repository": REPOSITORY, "tool": "pulumi"}, "invalid-request"),
        ({"repository": REPOSITORY, "backend_mode": "maybe"}, "invalid-request"),
        ({"repository": REPOSITORY, "path": None}, "invalid-request"),
        ({"repository": REPOSITORY, "tool_version": "newest"}, "tool-version-invalid"),
        ({"repository": REPOSITORY, "tool_version": ">= 1.9.0-rc1"}, "tool-version-invalid"),
        ({"repository": REPOSITORY, "tool_version": "1.9.0.1"}, "tool-version-invalid"),
        ({"repository": REPOSITORY, "override_file": "../x.tf"}, "override-file-invalid"),
        ({"repository": REPOSITORY, "override_file": "x.txt"}, "override-file-invalid"),
        ({"repository": REPOSITORY, "key": "nothing"}, "no-key"),
        ({"repository": REPOSITORY, "name": "A"}, "name-invalid"),
        ({"repository": REPOSITORY, "workspace": {"name": "lock"}}, "name-reserved"),
        ({"repository": REPOSITORY, "workspace": {"color": 1}}, "invalid-request"),
        (
            {
                "repository": REPOSITORY,
                "workspace": {"variables": [{"kind": "environment", "name": "LD_X", "value": ""}]},
            },
            "variable-reserved",
        ),
    ],
)
def test_a_wrong_body_is_refused_and_nothing_of_it_is_kept(
    boss: Caller, shop: str, body: dict[str, Any], code: str
) -> None:
    refused(boss.post(f"{shop}/templates", body), 422, code)

    assert len(boss.get(f"{shop}/templates").json["items"]) == 1
    assert len(boss.get(f"{shop}/workspaces").json["items"]) == 1


@one_database
@pytest.mark.parametrize(
    "version", ["1", "1.8", "1.11.4", "1.12.0-rc1", "~> 1.9", ">= 1.8, < 2", "latest", "auto", None]
)
def test_a_version_of_the_tool_may_be_given_in_part_by_constraints_or_by_the_sources(
    boss: Caller, shop: str, version: str | None
) -> None:
    changed = boss.patch(f"{shop}/templates/app", {"tool_version": version}).json

    assert changed["tool_version"] == version


def test_a_template_is_changed_field_by_field(boss: Caller, shop: str) -> None:
    boss.made(f"{shop}/keys", {"kind": "none", "name": "git"})

    changed = boss.patch(f"{shop}/templates/app", {"name": "web", "key": "git"}).json

    assert changed["name"] == "web"
    assert changed["key"]["name"] == "git"
    assert boss.get(f"{shop}/templates/web").json["key"]["name"] == "git"
    assert boss.patch(f"{shop}/templates/web", {"key": None}).json["key"] is None


def test_a_name_is_given_once_in_a_project(boss: Caller, shop: str) -> None:
    body = {"repository": REPOSITORY, "name": "app"}

    refused(boss.post(f"{shop}/templates", body), 409, "name-taken")


def test_a_template_is_deleted_after_its_workspaces(boss: Caller, shop: str) -> None:
    problem = refused(boss.delete(f"{shop}/templates/app"), 409, "template-in-use")
    assert problem["workspaces"] == ["app"]

    boss.delete(f"{shop}/workspaces/app")

    assert boss.delete(f"{shop}/templates/app").status_code == 204
    refused(boss.get(f"{shop}/templates/app"), 404, "not-found")
    assert boss.delete(shop).status_code == 204


@one_database
@pytest.mark.parametrize("verb", ["GET", "PATCH", "DELETE"])
def test_a_stranger_and_a_missing_template_get_404(
    boss: Caller, shop: str, stranger: Caller, verb: str
) -> None:
    body: dict[str, Any] = {"json": {}} if verb == "PATCH" else {}

    refused(stranger.call(verb, f"{shop}/templates/app", **body), 404, "not-found")
    refused(boss.call(verb, f"{shop}/templates/other", **body), 404, "not-found")


@one_database
def test_a_stranger_neither_lists_nor_creates_templates(shop: str, stranger: Caller) -> None:
    refused(stranger.get(f"{shop}/templates"), 404, "not-found")
    refused(stranger.post(f"{shop}/templates", {"repository": REPOSITORY}), 404, "not-found")


@one_database
def test_who_reads_runs_does_not_change_templates(boss: Caller, shop: str) -> None:
    reader = boss.with_scopes("runs:read", project="shop")

    assert reader.get(f"{shop}/templates/app").status_code == 200
    refused(reader.patch(f"{shop}/templates/app", {"ref": "main"}), 403, "scope-missing")


@one_database
def test_a_password_goes_nowhere_without_the_permission_to_manage_keys(
    boss: Caller, shop: str
) -> None:
    boss.made(
        f"{shop}/keys", {"name": "login", "kind": "password", "username": "u", "password": "p-w"}
    )
    boss.made(f"{shop}/templates", {"name": "private", "repository": REPOSITORY, "key": "login"})
    editor = boss.with_scopes("runs:read", "templates:manage", project="shop")
    elsewhere = "https://evil.example.com/r.git"

    refused(
        editor.post(f"{shop}/templates", {"name": "x", "repository": elsewhere, "key": "login"}),
        403,
        "scope-missing",
    )
    refused(
        editor.patch(f"{shop}/templates/private", {"repository": elsewhere}), 403, "scope-missing"
    )
    assert editor.patch(f"{shop}/templates/private", {"ref": "main"}).status_code == 200


def test_the_wrappers_that_do_not_count_are_a_list_of_known_names(boss: Caller, shop: str) -> None:
    path = f"{shop}/templates/app"

    named = boss.patch(path, {"ignored_wrappers": ["terramate", "terragrunt", "terramate"]})
    unknown = boss.patch(path, {"ignored_wrappers": ["make"]})

    assert named.json["ignored_wrappers"] == ["terragrunt", "terramate"]
    assert unknown.status_code == 422
    assert boss.get(path).json["ignored_wrappers"] == ["terragrunt", "terramate"]


def test_a_template_allows_only_its_own_ref_until_somebody_allows_more(
    boss: Caller, shop: str
) -> None:
    path = f"{shop}/templates/app"
    before = boss.get(path).json

    patterns = ["release/*", "refs/tags/v*", "any", "release/*"]
    after = boss.patch(path, {"allowed_refs": patterns, "secrets_for_pull_requests": True}).json

    assert (before["allowed_refs"], before["secrets_for_pull_requests"]) == ([], False)
    assert after["allowed_refs"] == ["release/*", "refs/tags/v*", "any"]
    assert after["secrets_for_pull_requests"] is True
    assert boss.get(path).json == after


@one_database
@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"allowed_refs": ["*"]}, "ref-invalid"),
        ({"allowed_refs": ["**"]}, "ref-invalid"),
        ({"allowed_refs": ["a/***"]}, "ref-invalid"),
        ({"allowed_refs": ["-x"]}, "ref-invalid"),
        ({"allowed_refs": ["a..b"]}, "ref-invalid"),
        ({"allowed_refs": ["a b"]}, "ref-invalid"),
        ({"allowed_refs": ["main", "rel\nease"]}, "ref-invalid"),
        ({"allowed_refs": [""]}, "invalid-request"),
        ({"allowed_refs": "main"}, "invalid-request"),
        ({"allowed_refs": None}, "invalid-request"),
        ({"allowed_refs": [f"b{n}" for n in range(51)]}, "invalid-request"),
        ({"secrets_for_pull_requests": None}, "invalid-request"),
        ({"secrets_for_pull_requests": "often"}, "invalid-request"),
    ],
)
def test_wrong_patterns_of_refs_are_refused(
    boss: Caller, shop: str, fields: dict[str, Any], code: str
) -> None:
    refused(boss.patch(f"{shop}/templates/app", fields), 422, code)

    assert boss.get(f"{shop}/templates/app").json["allowed_refs"] == []


@one_database
def test_who_may_only_queue_runs_allows_no_refs(boss: Caller, shop: str) -> None:
    runner = boss.with_scopes("runs:create", "runs:approve", "runs:read", project="shop")

    refused(runner.patch(f"{shop}/templates/app", {"allowed_refs": ["any"]}), 403, "scope-missing")


@one_database
@pytest.mark.parametrize("field", ["variable_files", "backend_config_files"])
def test_files_of_the_repository_are_named_for_a_template_and_a_workspace(
    boss: Caller, shop: str, app_workspace: str, field: str
) -> None:
    given = ["envs//prod.tfvars", "../common.tfvars", "./envs/prod.tfvars"]

    for path in (f"{shop}/templates/app", app_workspace):
        changed = boss.patch(path, {field: given}).json
        assert changed[field] == ["envs/prod.tfvars", "../common.tfvars"]
        for wrong in ("/etc/passwd", "-x", "a/.git/config", "envs/", "..", "a\\b", "a\nb"):
            refused(boss.patch(path, {field: [wrong]}), 422, "path-invalid")
        assert boss.patch(path, {field: []}).json[field] == []


TIMEOUTS = {"plan": 600, "total": 10**9}  # the installation limits single commands


@one_database
def test_steps_may_take_as_long_as_the_template_says_within_the_limit_of_the_installation(
    boss: Caller, shop: str
) -> None:
    made = boss.made(
        f"{shop}/templates", {"repository": "https://example.com/x.git", "timeouts": TIMEOUTS}
    )

    where = f"{shop}/templates/{made['id']}"
    too_long = boss.patch(where, {"timeouts": {"apply": 10**9}})
    unknown = boss.patch(where, {"timeouts": {"nothing": 5}})
    none = boss.patch(where, {"timeouts": {}})

    assert made["timeouts"] == TIMEOUTS
    assert (too_long.status_code, too_long.json["code"]) == (422, "timeout-too-long")
    assert "STATEROOM_RUN_TIMEOUT_SECONDS" in too_long.json["detail"]
    assert unknown.status_code == 422
    assert none.json["timeouts"] == {}
