"""Sources that use terraform.workspace, and states of other CLI workspaces than default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.api import Refused
from tests.support.elsewhere import Pg, give
from tests.support.place import Place
from tests.support.repositories import MODULE
from tests.support.tools import Checkout, Tool

USING = (
    MODULE + '\nresource "terraform_data" "named" {\n  input = "net-${terraform.workspace}"\n}\n'
)


@pytest.fixture
def place_of(
    run_place: Callable[..., Place], pg: Pg, tool: Tool, tmp_path: Path
) -> Callable[..., Place]:
    """Makes a place whose sources have a state in these CLI workspaces of a backend."""

    def make(module: str, *workspaces: str) -> Place:
        laptop = Checkout(tool, tmp_path / "laptop", module)
        laptop.write("backend.tf", pg.block)
        laptop.environment = dict(pg.variables)
        laptop.init()
        for workspace in workspaces:
            laptop.must("workspace", "new", workspace)
            laptop.apply()
        place = run_place({"main.tf": module, "backend.tf": pg.block})
        give(place, pg)
        return place

    return make


def test_every_run_says_that_it_is_always_default(run_place: Callable[..., Place]) -> None:
    module = 'module "a" {\n  source = "./modules/a"\n}\n'
    place = run_place({"main.tf": module, "modules/a/main.tf": USING})

    ended = [place.queue(o).wait() for o in ("plan", "apply", "apply")]

    for run in ended:
        assert run["error"] is None
        assert "modules/a/main.tf:15 uses terraform.workspace" in " ".join(run["warnings"])


def test_an_import_from_another_cli_workspace_is_asked_about_first(
    place_of: Callable[..., Place],
) -> None:
    place = place_of(USING, "production")

    asked = place.queue("import-state").wait("errored")
    versions = place.versions()
    answered = place.queue("import-state", cli_workspace="production").wait("applied")

    assert asked["error"]["code"] == "workspace-differs"
    for words in (
        *('"production"', "main.tf:15", "--cli-workspace production"),
        '"cli_workspace": "production"',
    ):
        assert words in asked["error"]["message"]
    assert versions == []
    assert len(place.versions()) == 1
    assert 'it was "production"' in " ".join(answered["warnings"])
    assert ("run.queue", "production") in place.audited("cli_workspace")


def test_one_of_several_cli_workspaces_is_chosen_by_its_name(
    place_of: Callable[..., Place],
) -> None:
    place = place_of(MODULE, "production", "staging")

    refused = place.queue("import-state").wait("errored")
    missing = place.queue("import-state", cli_workspace="default").wait("errored")
    run = place.queue("import-state", cli_workspace="staging")
    run.wait("applied")

    assert refused["error"]["code"] == "state-workspaces"
    assert "--cli-workspace NAME" in refused["error"]["message"]
    assert missing["error"]["code"] == "nothing-to-import"
    assert "production, staging" in missing["error"]["message"]
    assert run.step("pull")["detail"]["workspace"] == "staging"


def test_only_an_import_has_a_cli_workspace(run_place: Callable[..., Place]) -> None:
    place = run_place({"main.tf": MODULE})

    with pytest.raises(Refused) as refusal:
        place.queue("apply", cli_workspace="production")

    assert (refusal.value.status, refusal.value.problem["code"]) == (422, "cli-workspace-useless")


def test_a_committed_state_of_another_cli_workspace_is_asked_about_too(
    run_place: Callable[..., Place], tool: Tool, tmp_path: Path
) -> None:
    laptop = Checkout(tool, tmp_path / "laptop", USING)
    laptop.init()
    laptop.must("workspace", "new", "production")
    laptop.apply()
    path = "terraform.tfstate.d/production/terraform.tfstate"
    place = run_place({"main.tf": USING, path: (laptop.folder / path).read_text()})

    asked = place.queue("import-state").wait("errored")
    place.queue("import-state", cli_workspace="production").wait("applied")

    assert asked["error"]["code"] == "workspace-differs"
