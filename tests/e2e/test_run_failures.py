"""A newcomer finds out from `stateroom runs show` alone what went wrong, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.support.documents import lock_info
from tests.support.place import Place
from tests.support.processes import wait_until
from tests.support.repositories import MODULE, S3_BACKEND, sleeping_module, waiting_module
from tests.support.shown import shown


@pytest.fixture
def failed(run_place: Callable[..., Place]) -> Callable[..., tuple[Place, dict[str, str]]]:
    """The place of a run of these files that failed, and what is shown of the run."""

    def run(
        files: Mapping[str, str], operation: str = "plan", **template: object
    ) -> tuple[Place, dict[str, str]]:
        place = run_place(files, **template)
        queued = place.queue(operation)
        queued.wait("errored")
        return place, shown(place, queued)

    return run


def test_missing_variables_are_named_with_the_commands_that_set_them(
    failed: Callable[..., tuple[Place, dict[str, str]]],
) -> None:
    place, told = failed({"main.tf": 'variable "region" {}\nvariable "zone" {}\n'})

    assert told["error"] == "variable-missing"
    assert "region, zone" in told["what is wrong"]
    for name in ("region", "zone"):
        asked = f"stateroom variables set -p {place.project} -w {place.workspace} {name}"
        assert asked in told["do next"]


def test_a_syntax_error_names_the_file_and_the_line(
    failed: Callable[..., tuple[Place, dict[str, str]]],
) -> None:
    _, told = failed({"main.tf": MODULE, "net.tf": '\n\nresource "terraform_data" "x" {\n'})

    assert told["error"] == "init-failed"
    assert "Unclosed configuration block (net.tf line 3)" in told["what is wrong"]
    assert told["do next"].startswith("Correct net.tf line 3 in the repository")


def test_a_run_names_who_has_the_lock_that_it_waits_for_and_begins_when_it_goes(
    run_place: Callable[..., Place],
) -> None:
    place = run_place({"main.tf": MODULE})
    lock = lock_info() | {"Who": "ann@laptop"}
    place.state.lock(lock)

    run = place.queue("apply")
    wait_until(lambda: "waits for" in shown(place, run), "the run to wait")
    told = shown(place, run)
    place.state.unlock(lock)

    assert told["status"] == "queued"
    assert re.search(r"the lock of \S.* since \d{4}-\d\d-\d\dT", told["waits for"])
    run.wait("applied")


def test_a_quota_is_told_as_such_although_the_tool_says_that_the_state_is_locked(
    run_place: Callable[..., Place], gate: Path
) -> None:
    place = run_place({"main.tf": waiting_module(gate)})
    before = place.queue("apply")
    before.wait("applying")
    run = place.queue("apply")
    place.api.patch(f"/projects/{place.project}", max_state_bytes=1)

    gate.touch()
    run.wait("errored")
    told = shown(place, run)

    assert told["error"] == "quota-state-size"
    assert "allows at most 1" in told["what is wrong"]
    assert f"stateroom projects set {place.project} --max-state-bytes" in told["do next"]


def test_a_provider_that_cannot_be_downloaded_is_named(
    failed: Callable[..., tuple[Place, dict[str, str]]],
) -> None:
    wanted = (
        'terraform {\n required_providers {\n  x = { source = "a.invalid/acme/thing" }\n }\n}\n'
    )

    _, told = failed({"main.tf": wanted})

    assert told["error"] == "provider-unavailable"
    assert "a.invalid/acme/thing" in told["what is wrong"]
    assert "a.invalid/acme/thing" in told["do next"]
    assert "STATEROOM_PROVIDER_MIRROR" in told["do next"]


def test_a_backend_of_the_sources_that_refuses_is_told_with_the_tools_words(
    failed: Callable[..., tuple[Place, dict[str, str]]],
) -> None:
    place, told = failed({"main.tf": MODULE, "backend.tf": S3_BACKEND})

    assert told["error"] == "init-failed"
    assert "credential" in told["what is wrong"]
    assert f"stateroom runs log -p {place.project} run_" in told["do next"]


def test_a_secret_that_is_a_word_of_the_tool_hides_neither_the_code_nor_the_next_step(
    run_place: Callable[..., Place],
) -> None:
    place = run_place({"main.tf": 'variable "region" {}\nvariable "word" {}\n'})
    place.set_variable("word", "variable", sensitive=True)

    run = place.queue("plan")
    run.wait("errored")
    told = shown(place, run)

    assert told["error"] == "variable-missing"
    assert "No value for required ***" in told["what is wrong"]
    assert told["do next"].startswith("Give it a value: `stateroom variables set -p")


def test_a_branch_that_is_not_there_is_told_with_the_command_that_changes_it(
    failed: Callable[..., tuple[Place, dict[str, str]]],
) -> None:
    place, told = failed({"main.tf": MODULE}, ref="mistyped")

    assert told["error"] == "ref-not-found"
    assert "mistyped" in told["what is wrong"]
    assert f"stateroom templates set -p {place.project} module --ref REF" in told["do next"]


def test_a_run_that_ended_well_has_nothing_to_do(run_place: Callable[..., Place]) -> None:
    place = run_place({"main.tf": MODULE})

    run = place.queue("apply")
    run.wait("applied")

    assert shown(place, run)["do next"] == "-"


def test_a_step_that_takes_too_long_names_itself_and_the_way_to_more_time(
    run_place: Callable[..., Place],
) -> None:
    place = run_place({"main.tf": sleeping_module(120)}, timeouts={"apply": 3})

    run = place.queue("apply")
    run.wait("errored")
    told = shown(place, run)

    assert told["error"] == "timed-out"
    assert "The step apply took too long" in told["what is wrong"]
    assert "3 seconds" in told["what is wrong"]
    more = f"stateroom templates set -p {place.project} module --timeout apply=SECONDS"
    assert more in told["do next"]
    assert "quick" in place.state.read().body.decode()
    assert not place.is_locked()


def test_a_run_that_takes_too_long_in_all_says_so(run_place: Callable[..., Place]) -> None:
    place = run_place({"main.tf": sleeping_module(120)}, timeouts={"total": 1})

    run = place.queue("apply")
    run.wait("errored")
    told = shown(place, run)

    assert told["error"] == "timed-out"
    assert "longer than the 1 seconds that its template gives it (total)" in told["what is wrong"]
    assert "--timeout total=SECONDS" in told["do next"]
    assert not place.is_locked()
