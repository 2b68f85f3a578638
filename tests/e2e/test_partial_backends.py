"""Sources with an empty or partial backend block, which -backend-config completes elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.api import Refused
from tests.support.elsewhere import S3, Http, Moto, give, resources, seed
from tests.support.place import Place
from tests.support.repositories import MODULE, Repository
from tests.support.tools import Tool


@pytest.fixture
def s3(moto: Moto) -> S3:
    return S3(moto.url)


def without(block: str, *names: str) -> str:
    """The block without the lines that set these."""
    lines = block.splitlines(keepends=True)
    return "".join(line for line in lines if line.strip().split(" ")[0] not in names)


def configure(place: Place, **settings: str) -> None:
    for name, value in settings.items():
        place.set_variable(name, value, kind="backend_config")


@pytest.mark.parametrize("operation", ["plan", "apply", "import-state"])
def test_what_is_missing_is_named_with_the_way_to_set_it(
    run_place: Callable[..., Place], operation: str
) -> None:
    place = run_place({"main.tf": MODULE, "b.tf": 'terraform {\n  backend "s3" {}\n}\n'})

    ended = place.queue(operation).wait("errored")

    assert ended["error"]["code"] == "backend-partial"
    for words in (
        *("b.tf:2", "backend:s3 without bucket, key", "set -w first --backend-config bucket"),
        *('"kind": "backend_config"', "--operation import-state"),
    ):
        assert words in ended["error"]["message"]
    assert place.versions() == []


def test_one_setting_that_is_missing_is_the_only_one_that_is_named(
    run_place: Callable[..., Place], s3: S3
) -> None:
    place = run_place({"main.tf": MODULE, "b.tf": without(s3.block, "key")})
    give(place, s3)

    ended = place.queue("plan").wait("errored")

    assert "backend:s3 without key," in ended["error"]["message"]


def test_a_run_uses_the_backend_that_its_workspace_completes(
    run_place: Callable[..., Place], s3: S3
) -> None:
    place = run_place({"main.tf": MODULE, "b.tf": without(s3.block, "bucket", "key", "region")})
    give(place, s3)
    configure(place, bucket=s3.bucket, key="state", region="us-east-1")

    place.queue("apply").wait("applied")

    assert s3.stored() is not None
    assert place.versions() == []


def test_its_state_is_imported_and_then_kept_here(
    run_place: Callable[..., Place], s3: S3, tool: Tool, tmp_path: Path
) -> None:
    seed(tool, tmp_path / "laptop", s3, MODULE)
    place = run_place({"main.tf": MODULE, "b.tf": without(s3.block, "bucket", "key")})
    give(place, s3)
    configure(place, bucket=s3.bucket, key="state")

    place.queue("import-state").wait("applied")
    place.api.patch(f"/projects/{place.project}/templates/module", backend_mode="override")
    ended = place.queue("apply").wait("planned_and_finished")

    assert ended["changes"]["add"] == 0
    assert place.state.read().body == s3.stored()


def test_two_workspaces_of_one_template_have_a_key_each(
    run_place: Callable[..., Place], s3: S3
) -> None:
    place = run_place({"main.tf": MODULE, "b.tf": without(s3.block, "key")})
    place.api.post(f"/projects/{place.project}/workspaces", name="second", template="module")
    for workspace, key in (("first", "state"), ("second", "state"), ("second", "another")):
        place.workspace = workspace
        if key == "another":
            path = f"/projects/{place.project}/workspaces/second/variables/backend_config/key"
            place.api.patch(path, value=key)
        else:
            give(place, s3)
            configure(place, key=key)
        ended = place.queue("apply").wait()
        codes = ended["error"] and ended["error"]["code"]
        expected = "backend-shared" if (workspace, key) == ("second", "state") else None
        assert codes == expected


def test_an_http_backend_gets_its_address_and_a_secret_setting_stays_out_of_the_log(
    run_place: Callable[..., Place], slow_http: Http
) -> None:
    place = run_place({"main.tf": MODULE, "b.tf": 'terraform {\n  backend "http" {}\n}\n'})
    configure(place, address=slow_http.url, username="ann")
    place.set_variable("password", "very-secret-login", kind="backend_config", sensitive=True)

    run = place.queue("apply")
    run.wait("applied")

    assert slow_http.stored() is not None
    assert slow_http.logins == {"Basic YW5uOnZlcnktc2VjcmV0LWxvZ2lu"}
    assert "very-secret-login" not in run.log()


def test_a_name_that_is_no_argument_is_refused(run_place: Callable[..., Place]) -> None:
    place = run_place({"main.tf": MODULE})

    with pytest.raises(Refused) as refusal:
        configure(place, **{'a = "b"\nkey': "x"})

    assert refusal.value.status == 422


def test_files_of_the_repository_complete_the_block_and_variables_win_over_them(
    run_place: Callable[..., Place], s3: S3, tool: Tool, tmp_path: Path
) -> None:
    seed(tool, tmp_path / "laptop", s3, MODULE)
    place = run_place(
        {
            "main.tf": MODULE,
            "b.tf": without(s3.block, "bucket", "key", "region"),
            "envs/prod.tfbackend": 'bucket = "another"\nregion = "us-east-1"\n',
        }
    )
    files = ["envs/prod.tfbackend"]
    place.api.patch(f"/projects/{place.project}/templates/module", backend_config_files=files)
    give(place, s3)
    configure(place, bucket=s3.bucket)

    lacking = place.queue("plan").wait("errored")
    configure(place, key="state")
    place.queue("import-state").wait("applied")

    assert "backend:s3 without key," in lacking["error"]["message"]
    assert place.state.read().body == s3.stored()


def test_a_state_is_exported_to_the_backend_that_files_of_the_repository_complete(
    run_place: Callable[..., Place], repository: Repository, slow_http: Http
) -> None:
    place = run_place({"main.tf": MODULE})
    place.queue("apply").wait("applied")
    ours = place.state.read().body
    repository.commit(
        {
            "b.tf": 'terraform {\n  backend "http" {}\n}\n',
            "envs/prod.tfbackend": f'address = "{slow_http.url}"\n',
        }
    )

    lacking = place.queue("export-state").wait("errored")
    files = ["envs/prod.tfbackend"]
    place.api.patch(f"/projects/{place.project}/workspaces/first", backend_config_files=files)
    place.queue("export-state").wait("applied")

    assert lacking["error"]["code"] == "backend-partial"
    assert resources(slow_http.stored()) == resources(ours)
    assert place.state.read().status == 410
