"""A state that is somewhere else becomes the workspace's own, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.elsewhere import Elsewhere, Pg, give, heading, seed
from tests.support.place import Place
from tests.support.plans import NOTHING
from tests.support.repositories import MODULE
from tests.support.tools import Checkout, Tool

LOCAL = 'terraform {\n  backend "local" {\n    path = "states/own.tfstate"\n  }\n}\n'
ENCRYPTED = """
terraform {
  encryption {
    key_provider "pbkdf2" "key" { passphrase = "correct-horse-battery-staple" }
    method "aes_gcm" "method" { keys = key_provider.pbkdf2.key }
    state { method = method.aes_gcm.method }
  }
}
"""


def override_from_now_on(place: Place) -> None:
    place.api.patch(f"/projects/{place.project}/templates/module", backend_mode="override")


def test_a_state_comes_here_byte_for_byte_and_the_next_plan_finds_nothing_to_change(
    run_place: Callable[..., Place], elsewhere: Elsewhere, tool: Tool, tmp_path: Path
) -> None:
    seed(tool, tmp_path / "laptop", elsewhere, MODULE)
    place = run_place({"main.tf": MODULE, "backend.tf": elsewhere.block})
    give(place, elsewhere)

    run = place.queue("import-state")
    ended = run.wait("applied")

    assert place.state.read().body == elsewhere.stored()
    (version,) = place.versions()
    assert version["operation"] == "import"
    assert (version["lineage"], version["serial"]) == heading(elsewhere.stored())
    assert version["run_id"] == run.id
    assert [step["name"] for step in ended["steps"]] == [
        *("clone", "detect", "check", "init", "pull", "import", "verify"),
    ]
    assert f"backend.tf:2 still configures {elsewhere.kind}" in " ".join(ended["warnings"])
    assert not place.is_locked()
    assert "very-secret-of-s3" not in run.log()

    override_from_now_on(place)
    after = place.queue("plan").wait("planned_and_finished")
    assert after["changes"] == NOTHING


def test_importing_it_twice_is_harmless_and_again_later_brings_what_is_newer(
    run_place: Callable[..., Place], pg: Pg, tool: Tool, tmp_path: Path
) -> None:
    laptop = seed(tool, tmp_path / "laptop", pg, MODULE)
    place = run_place({"main.tf": MODULE, "backend.tf": pg.block})
    give(place, pg)

    place.queue("import-state").wait("applied")
    place.queue("import-state").wait("applied")
    assert len(place.versions()) == 1

    laptop.apply("-var", "greeting=changed")
    place.queue("import-state").wait("applied")
    assert len(place.versions()) == 2
    assert place.state.read().body == pg.stored()


def test_a_state_of_gitlabs_kind_is_opened_with_the_workspaces_login(
    run_place: Callable[..., Place], tool: Tool, tmp_path: Path
) -> None:
    place = run_place({"main.tf": MODULE})
    gitlab = place.another_workspace()
    laptop = Checkout(tool, tmp_path / "laptop", MODULE)
    laptop.connect(gitlab)
    laptop.init()
    laptop.apply()
    block = (laptop.folder / "backend.tf").read_text()
    place = run_place({"main.tf": MODULE, "backend.tf": block})
    place.set_variable("TF_HTTP_USERNAME", "ann", kind="environment")
    place.set_variable("TF_HTTP_PASSWORD", gitlab.token, kind="environment", sensitive=True)

    run = place.queue("import-state")
    run.wait("applied")

    assert place.state.read().body == gitlab.read().body
    assert gitlab.token not in run.log()


def test_a_file_of_a_local_backend_is_taken_as_it_is(
    run_place: Callable[..., Place], tool: Tool, tmp_path: Path
) -> None:
    laptop = Checkout(tool, tmp_path / "laptop", MODULE)
    laptop.write("backend.tf", LOCAL)
    laptop.init()
    laptop.apply()
    written = (laptop.folder / "states" / "own.tfstate").read_text()
    place = run_place(
        {"net/main.tf": MODULE, "net/backend.tf": LOCAL, "net/states/own.tfstate": written},
        path="net",
    )

    place.queue("import-state").wait("applied")

    assert place.state.read().body == written.encode()


def test_a_committed_state_is_imported_when_the_sources_name_no_backend(
    run_place: Callable[..., Place], tool: Tool, tmp_path: Path
) -> None:
    laptop = Checkout(tool, tmp_path / "laptop", MODULE)
    laptop.init()
    laptop.apply()
    written = (laptop.folder / "terraform.tfstate").read_text()
    place = run_place({"main.tf": MODULE, "terraform.tfstate": written})

    ended = place.queue("import-state").wait("applied")
    after = place.queue("apply").wait("planned_and_finished")

    assert place.state.read().body == written.encode()
    assert "delete terraform.tfstate" in " ".join(ended["warnings"])
    assert after["changes"]["add"] == 0


def test_a_committed_state_that_opentofu_encrypted_stays_as_it_is(
    run_place: Callable[..., Place], tool: Tool, tmp_path: Path
) -> None:
    if tool.name != "tofu":
        pytest.skip("only tofu encrypts")
    laptop = Checkout(tool, tmp_path / "laptop", MODULE + ENCRYPTED)
    laptop.init()
    laptop.apply()
    written = (laptop.folder / "terraform.tfstate").read_text()
    place = run_place({"main.tf": MODULE + ENCRYPTED, "terraform.tfstate": written})

    place.queue("import-state").wait("applied")
    after = place.queue("plan").wait("planned_and_finished")

    assert place.state.read().body == written.encode()
    assert place.versions()[0]["encrypted"]
    assert after["changes"]["add"] == 0


def test_a_state_that_only_the_tool_can_decrypt_is_not_taken_in_clear(
    run_place: Callable[..., Place], tool: Tool, pg: Pg, tmp_path: Path
) -> None:
    if tool.name != "tofu":
        pytest.skip("only tofu encrypts")
    seed(tool, tmp_path / "laptop", pg, MODULE + ENCRYPTED)
    place = run_place({"main.tf": MODULE + ENCRYPTED, "backend.tf": pg.block})
    give(place, pg)

    ended = place.queue("import-state").wait("errored")

    assert ended["error"]["code"] == "state-encrypted"
    assert "upload" in ended["error"]["message"]
    assert place.versions() == []


def test_of_several_cli_workspaces_only_one_may_hold_a_state(
    run_place: Callable[..., Place], elsewhere: Elsewhere, tool: Tool, tmp_path: Path
) -> None:
    laptop = seed(tool, tmp_path / "laptop", elsewhere, MODULE)
    laptop.must("workspace", "new", "production")
    place = run_place({"main.tf": MODULE, "backend.tf": elsewhere.block})
    give(place, elsewhere)

    place.queue("import-state").wait("applied")
    laptop.apply()
    ended = place.queue("import-state").wait("errored")

    assert ended["error"]["code"] == "state-workspaces"
    assert "default, production" in ended["error"]["message"]
    assert len(place.versions()) == 1


def test_the_only_cli_workspace_with_a_state_is_found(
    run_place: Callable[..., Place], tool: Tool, pg: Pg, tmp_path: Path
) -> None:
    laptop = Checkout(tool, tmp_path / "laptop", MODULE)
    laptop.write("backend.tf", pg.block)
    laptop.environment = dict(pg.variables)
    laptop.init()
    laptop.must("workspace", "new", "production")
    laptop.apply()
    place = run_place({"main.tf": MODULE, "backend.tf": pg.block})
    give(place, pg)

    run = place.queue("import-state")
    run.wait("applied")

    assert run.step("pull")["detail"]["workspace"] == "production"
    assert place.state.read().json()["outputs"]["greeting"]["value"] == "hello"
