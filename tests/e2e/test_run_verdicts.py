"""A repository with each verdict, and how its run ends."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.place import Place
from tests.support.repositories import MODULE, S3_BACKEND
from tests.support.tools import Tool

OWN_LOCAL = 'terraform {\n  backend "local" {\n    path = "own.tfstate"\n  }\n}\n'


def test_sources_without_a_backend_get_ours(run_place: Callable[..., Place]) -> None:
    place = run_place({"main.tf": MODULE})

    run = place.queue("apply")
    ended = run.wait("applied")

    assert ended["detection"]["verdict"] == "none"
    assert ended["detection"]["inject"] is True
    assert ended["detection"]["override_file"] in run.log()


def test_an_explicit_s3_backend_is_left_alone(run_place: Callable[..., Place]) -> None:
    place = run_place({"main.tf": MODULE, "backend.tf": S3_BACKEND})
    for name in ("AWS_EC2_METADATA_DISABLED", "AWS_SKIP_CREDENTIALS_VALIDATION"):
        place.set_variable(name, "true", kind="environment")

    ended = place.queue("apply").wait("errored")

    # it has no credentials for its bucket here; what counts is that it is asked for, not ours
    assert ended["error"]["code"] == "init-failed"
    assert ended["detection"]["verdict"] == "backend:s3"
    assert (ended["detection"]["file"], ended["detection"]["line"]) == ("backend.tf", 2)
    assert ended["detection"]["inject"] is False
    assert place.versions() == []


def test_the_mode_override_replaces_an_explicit_backend(run_place: Callable[..., Place]) -> None:
    place = run_place({"main.tf": MODULE, "backend.tf": S3_BACKEND}, backend_mode="override")

    ended = place.queue("apply", start_empty=True).wait("applied")

    assert ended["detection"]["verdict"] == "backend:s3"
    assert ended["detection"]["inject"] is True
    assert place.state.read().json()["outputs"]["greeting"]["value"] == "hello"


def test_a_local_backend_of_the_sources_is_not_lost_with_the_run(
    run_place: Callable[..., Place],
) -> None:
    place = run_place({"main.tf": MODULE, "backend.tf": OWN_LOCAL})

    ended = place.queue("apply").wait("errored")

    assert ended["error"]["code"] == "state-would-be-lost"
    assert "override" in ended["error"]["message"]


def test_two_backends_are_a_conflict_before_anything_is_run(
    run_place: Callable[..., Place],
) -> None:
    place = run_place({"main.tf": MODULE, "a.tf": S3_BACKEND, "b.tf": OWN_LOCAL})

    ended = place.queue("apply").wait("errored")

    assert ended["error"]["code"] == "backend-conflict"
    assert [step["name"] for step in ended["steps"]][-1] in {"detect", "override"}


def test_a_repository_without_configuration_has_nothing_to_run(
    run_place: Callable[..., Place],
) -> None:
    place = run_place({"README.md": "nothing here"})

    ended = place.queue("apply").wait("errored")

    assert ended["error"]["code"] == "nothing-to-run"
    assert place.versions() == []


def test_broken_configuration_is_told_by_the_tool_itself(
    run_place: Callable[..., Place],
) -> None:
    place = run_place({"main.tf": 'resource "terraform_data" "x" {\n'})

    run = place.queue("apply")
    ended = run.wait("errored")

    assert ended["error"]["code"] == "init-failed"
    assert "main.tf line 1" in ended["error"]["message"]
    assert "main.tf" in run.log()
    assert not place.is_locked()


def test_sources_for_tofu_only_run_with_tofu_only(
    run_place: Callable[..., Place], tool: Tool
) -> None:
    place = run_place({"main.tofu": MODULE})

    ended = place.queue("apply").wait()

    if tool.name == "tofu":
        assert ended["status"] == "applied"
    else:
        assert ended["status"] == "errored"
        assert ended["error"]["code"] == "nothing-to-run"


def test_a_committed_override_of_the_backend_does_not_beat_ours(
    run_place: Callable[..., Place],
) -> None:
    place = run_place(
        {"main.tf": MODULE, "zzz_override.tf": OWN_LOCAL, "zz_backend_override.tofu": OWN_LOCAL},
        backend_mode="override",
    )

    place.queue("apply").wait("applied")

    assert place.state.read().json()["outputs"]["greeting"]["value"] == "hello"
