"""The first run of a workspace does not begin with nothing where there may be a state already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.elsewhere import Elsewhere, give, resources, seed
from tests.support.place import Place
from tests.support.plans import NOTHING
from tests.support.repositories import MODULE, S3_BACKEND, Repository
from tests.support.tools import Checkout, Tool

LOCAL = 'terraform {\n  backend "local" {\n    path = "states/own.tfstate"\n  }\n}\n'


def let_it_start_empty(place: Place) -> None:
    place.api.patch(f"/projects/{place.project}/workspaces/{place.workspace}", start_empty=True)


def written_by(tool: Tool, laptop: Path, backend: str = "", path: str = "terraform.tfstate") -> str:
    """The state of a module that was applied on a laptop."""
    checkout = Checkout(tool, laptop, MODULE)
    if backend:
        checkout.write("backend.tf", backend)
    checkout.init()
    checkout.apply()
    return (checkout.folder / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("operation", ["plan", "apply", "destroy"])
def test_our_backend_does_not_replace_another_one_before_its_state_is_here(
    run_place: Callable[..., Place], operation: str
) -> None:
    place = run_place({"main.tf": MODULE, "backend.tf": S3_BACKEND}, backend_mode="override")

    ended = place.queue(operation).wait("errored")

    assert ended["error"]["code"] == "import-needed"
    for words in (
        *("backend.tf:2", "backend:s3", "queue -w first --operation import-state"),
        *('"operation": "import-state"', "set first --start-empty", '"start_empty": true'),
    ):
        assert words in ended["error"]["message"]
    assert place.versions() == []
    assert [step["name"] for step in ended["steps"]] == ["clone", "detect", "override"]


def test_after_an_import_it_does(
    run_place: Callable[..., Place], elsewhere: Elsewhere, tool: Tool, tmp_path: Path
) -> None:
    seed(tool, tmp_path / "laptop", elsewhere, MODULE)
    files = {"main.tf": MODULE, "backend.tf": elsewhere.block}
    place = run_place(files, backend_mode="override")
    give(place, elsewhere)
    place.queue("apply").wait("errored")

    place.queue("import-state").wait("applied")
    ended = place.queue("apply").wait("planned_and_finished")

    assert ended["changes"] == NOTHING
    assert resources(place.state.read().body) == resources(elsewhere.stored())


def test_who_says_so_for_the_workspace_begins_with_nothing_and_is_in_the_audit_log(
    run_place: Callable[..., Place],
) -> None:
    place = run_place({"main.tf": MODULE, "backend.tf": S3_BACKEND}, backend_mode="override")
    let_it_start_empty(place)

    ended = place.queue("apply").wait("applied")

    assert ended["changes"]["add"] == 1
    assert ("workspace.set_start_empty", True) in place.audited("value")


def test_who_says_so_for_one_run_is_in_the_audit_log_too(run_place: Callable[..., Place]) -> None:
    place = run_place({"main.tf": MODULE, "backend.tf": S3_BACKEND}, backend_mode="override")

    place.queue("apply", start_empty=True).wait("applied")

    assert ("run.queue", True) in place.audited("start_empty")


def test_a_committed_state_stops_the_first_run_and_is_imported(
    run_place: Callable[..., Place], tool: Tool, tmp_path: Path
) -> None:
    written = written_by(tool, tmp_path / "laptop")
    place = run_place({"main.tf": MODULE, "terraform.tfstate": written})

    ended = place.queue("apply").wait("errored")
    place.queue("import-state").wait("applied")
    after = place.queue("apply").wait("planned_and_finished")

    assert ended["error"]["code"] == "committed-state"
    for words in ("terraform.tfstate", "--operation import-state", "--start-empty"):
        assert words in ended["error"]["message"]
    assert after["changes"]["add"] == 0
    assert place.state.read().body == written.encode()


def test_a_committed_state_that_is_somebody_elses_does_not_stop_who_says_so(
    run_place: Callable[..., Place], tool: Tool, tmp_path: Path
) -> None:
    written = written_by(tool, tmp_path / "laptop")
    place = run_place({"main.tf": MODULE, "terraform.tfstate": written})
    let_it_start_empty(place)

    ended = place.queue("apply").wait("applied")

    assert ended["changes"]["add"] == 1
    assert "terraform.tfstate in the repository is not used" in " ".join(ended["warnings"])


def test_the_committed_state_of_a_cli_workspace_stops_it_too(
    run_place: Callable[..., Place], tool: Tool, tmp_path: Path
) -> None:
    written = written_by(tool, tmp_path / "laptop")
    place = run_place(
        {"main.tf": MODULE, "terraform.tfstate.d/production/terraform.tfstate": written}
    )

    ended = place.queue("apply").wait("errored")

    assert ended["error"]["code"] == "committed-state"
    assert "terraform.tfstate.d/production/terraform.tfstate" in ended["error"]["message"]


def test_the_committed_file_of_a_local_backend_stops_it_too(
    run_place: Callable[..., Place], tool: Tool, tmp_path: Path
) -> None:
    written = written_by(tool, tmp_path / "laptop", LOCAL, "states/own.tfstate")
    files = {"main.tf": MODULE, "backend.tf": LOCAL, "states/own.tfstate": written}
    place = run_place(files, backend_mode="override")

    ended = place.queue("apply").wait("errored")

    assert ended["error"]["code"] == "committed-state"
    assert "states/own.tfstate" in ended["error"]["message"]


def test_a_committed_file_that_is_no_state_stops_it_because_nobody_knows_what_it_was(
    run_place: Callable[..., Place],
) -> None:
    conflict = '<<<<<<< HEAD\n{"version": 4}\n=======\n{}\n>>>>>>> theirs\n'
    place = run_place({"main.tf": MODULE, "terraform.tfstate": conflict})

    ended = place.queue("apply").wait("errored")

    assert ended["error"]["code"] == "committed-state"


def test_a_committed_state_without_resources_stops_nothing(
    run_place: Callable[..., Place],
) -> None:
    empty = '{"version": 4, "serial": 3, "lineage": "x", "outputs": {}, "resources": []}'
    place = run_place({"main.tf": MODULE, "terraform.tfstate": empty})

    place.queue("apply").wait("applied")


def test_a_committed_state_beside_one_that_is_in_use_here_is_only_a_warning(
    run_place: Callable[..., Place], repository: Repository, tool: Tool, tmp_path: Path
) -> None:
    place = run_place({"main.tf": MODULE})
    place.queue("apply").wait("applied")
    repository.commit({"terraform.tfstate": written_by(tool, tmp_path / "laptop")})

    ended = place.queue("apply").wait("planned_and_finished")

    assert "terraform.tfstate in the repository is not used" in " ".join(ended["warnings"])


def test_a_local_backend_beyond_the_repository_may_have_a_state(
    run_place: Callable[..., Place],
) -> None:
    block = 'terraform {\n  backend "local" {\n    path = "/srv/states/own.tfstate"\n  }\n}\n'
    place = run_place({"main.tf": MODULE, "backend.tf": block}, backend_mode="override")

    ended = place.queue("apply").wait("errored")

    assert ended["error"]["code"] == "import-needed"
