"""What a run of a template would find, before there is a template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from execution import previews
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.repositories import MODULE, S3_BACKEND, Repository

pytestmark = one_database
AT = "/projects/shop/templates/preview"
NASTY = "<img src=x onerror=alert(1)>\x1b[31m\u202e"


@pytest.fixture
def sources(tmp_path: Path, shop: str) -> Repository:
    return Repository(tmp_path / "infra")


def look(boss: Caller, sources: Repository | str, **wanted: Any) -> Any:
    where = sources if isinstance(sources, str) else str(sources.folder)
    answer = boss.post(AT, {"repository": where, **wanted})
    assert answer.status_code == 200, answer.json
    return answer.json


def test_sources_without_a_backend_get_ours(boss: Caller, sources: Repository) -> None:
    commit = sources.commit(
        {
            "main.tf": MODULE,
            "versions.tf": 'terraform {\n  required_version = ">= 1.4"\n}\n',
            "variables.tf": 'variable "size" {\n  type = number\n}\nvariable "given" {}\n',
            "terraform.tfvars": "given = 1\n",
        },
        message="Say hello",
    )

    found = look(boss, sources, workspace="prod")

    assert (found["commit"], found["subject"], found["problem"]) == (commit, "Say hello", None)
    assert (found["detection"]["verdict"], found["inject"]) == ("none", True)
    assert "/api/terraform/state/shop/prod" in found["override"]["text"]
    assert found["override"]["name"].endswith("_override.tf")
    assert found["requirements"] == [{"text": ">= 1.4", "where": "versions.tf:2"}]
    assert {one["name"]: (one["required"], one["is_set"]) for one in found["variables"]} == {
        "greeting": (False, False), "size": (True, False), "given": (True, True),
    }  # fmt: skip


def test_a_backend_of_the_sources_is_named_with_file_and_line(
    boss: Caller, sources: Repository
) -> None:
    sources.replace({"main.tf": MODULE, "backend.tf": S3_BACKEND})

    auto = look(boss, sources)
    always = look(boss, sources, backend_mode="override")

    assert (auto["detection"]["verdict"], auto["inject"]) == ("backend:s3", False)
    assert (auto["detection"]["file"], auto["detection"]["line"]) == ("backend.tf", 2)
    assert (always["inject"], auto["override"]) == (True, None)
    assert any("replaces backend:s3" in one for one in always["warnings"])


def test_cloud_wrappers_and_committed_states_are_told(boss: Caller, sources: Repository) -> None:
    sources.replace({"main.tf": 'terraform {\n  cloud {\n    organization = "x"\n  }\n}\n'})
    assert look(boss, sources)["detection"]["verdict"] == "cloud"

    sources.replace({"main.tf": MODULE, "terragrunt.hcl": 'remote_state {\n  backend = "s3"\n}\n'})
    wrapped = look(boss, sources)
    assert (wrapped["problem"]["code"], wrapped["detection"]["wrapper"]) == (
        "wrapper-found", "terragrunt",
    )  # fmt: skip
    assert look(boss, sources, ignored_wrappers=["terragrunt"])["inject"] is True

    sources.replace({"main.tf": MODULE + 'output "w" { value = terraform.workspace }\n',
                     "terraform.tfstate": "{}"})  # fmt: skip
    warned = " ".join(look(boss, sources)["warnings"])
    assert "The terraform.tfstate in the repository is not used" in warned
    assert "terraform.workspace" in warned


def test_a_wrong_ref_names_those_like_it(boss: Caller, sources: Repository) -> None:
    sources.branch("release/1.2", {})
    sources.branch("feature", {})

    found = look(boss, sources, ref="release/1.3")

    assert found["problem"]["code"] == "ref-not-found"
    assert found["refs"][0] == "release/1.2"
    assert look(boss, sources, ref="release/1.2")["problem"] is None


def test_a_wrong_folder_names_those_with_configuration(boss: Caller, sources: Repository) -> None:
    sources.replace({"envs/prod/main.tf": MODULE, "envs/test/main.tf": MODULE})

    for path in (".", "envs/staging"):
        problem = look(boss, sources, path=path)["problem"]
        assert problem["facts"]["folders"] == ["envs/prod", "envs/test"], path
    assert look(boss, sources, path="envs/prod")["problem"] is None


def test_a_repository_that_is_not_there_is_told(boss: Caller, sources: Repository) -> None:
    problem = look(boss, str(sources.folder) + "-not")["problem"]

    assert problem["code"] == "repository-not-found"


def test_what_workers_refuse_is_refused_before_anything_is_fetched(
    boss: Caller, sources: Repository
) -> None:
    for wanted, code in (
        ({"repository": "ftp://h.example/x"}, "repository-url-refused"),
        ({"repository": "ext::sh -c id"}, "repository-url-refused"),
        ({"repository": "/etc"}, "repository-url-refused"),
        ({"repository": "--upload-pack=id"}, "repository-url-refused"),
        ({"repository": str(sources.folder), "ref": "--x"}, "ref-invalid"),
        ({"repository": str(sources.folder), "path": "../x"}, "path-invalid"),
        ({"repository": str(sources.folder), "variable_files": ["/etc/passwd"]}, "path-invalid"),
        ({"repository": str(sources.folder), "key": "of nobody"}, "no-key"),
        ({"repository": str(sources.folder), "tool_version": "soon"}, "tool-version-invalid"),
    ):
        refused(boss.post(AT, wanted), 422, code)


def test_private_hosts_are_refused_by_where_their_name_leads(boss: Caller, shop: str) -> None:
    for where in ("https://127.0.0.1/x", "https://localhost/x", "ssh://git@[::1]/x"):
        assert look(boss, where)["problem"]["code"] == "repository-host-refused", where


def test_a_key_is_one_of_the_project_and_needs_its_scope(boss: Caller, sources: Repository) -> None:
    boss.made("/projects", {"name": "other"})
    login = {"kind": "password", "username": "me", "password": "x" * 12}
    boss.made("/projects/other/keys", {"name": "foreign", **login})
    boss.made("/projects/shop/keys", {"name": "own", **login})
    wanted = {"repository": "https://127.0.0.1/x", "key": "own"}

    refused(boss.post(AT, {**wanted, "key": "foreign"}), 422, "no-key")
    writer = boss.with_scopes("templates:manage", "runs:read", project="shop")
    refused(writer.post(AT, wanted), 403, "scope-missing")
    assert writer.post(AT, {"repository": str(sources.folder)}).status_code == 200


def test_a_stranger_finds_no_project_and_a_reader_may_not_look(
    boss: Caller, stranger: Caller, sources: Repository
) -> None:
    wanted = {"repository": str(sources.folder)}

    refused(stranger.post(AT, wanted), 404, "not-found")
    reader = boss.with_scopes("runs:read", "runs:create", "keys:manage", project="shop")
    refused(reader.post(AT, wanted), 403, "scope-missing")


def test_hostile_repositories_are_told_and_do_no_harm(
    boss: Caller, sources: Repository, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.tf"
    secret.write_text('variable "of_the_server" {}\n')
    sources.link("link.tf", str(secret))
    assert look(boss, sources)["problem"]["code"] == "symlink-leaves-repository"

    sources.replace(
        {f"a{NASTY.replace('/', '-')}.tf": f'variable "x" {{\n  default = "{NASTY}"\n}}\n'}
    )
    sources.commit({}, message=NASTY)
    found = look(boss, sources)
    text = str(found)
    assert found["problem"] is None
    assert not {*"\x1b\u202e"}.intersection(text), "control characters are shown as escapes"


def test_a_huge_repository_is_refused_before_it_is_unpacked(
    boss: Caller, sources: Repository
) -> None:
    sources.commit({"zeros": "0" * 100_000_000})
    sources.spread("zeros", 25)

    assert look(boss, sources)["problem"]["code"] == "repository-too-large"


def test_a_slow_repository_ends_in_time(
    boss: Caller, sources: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "SECONDS", 0.0)

    problem = look(boss, sources)["problem"]

    assert (problem["code"], "0 seconds" in problem["message"]) == ("timed-out", True)


def test_nothing_stays_on_the_disk(boss: Caller, sources: Repository, app: Flask) -> None:
    folder = app.extensions["stateroom"].settings.data_dir / "previews"
    look(boss, sources)
    look(boss, sources, ref="not-there")

    assert list(folder.iterdir()) == []
