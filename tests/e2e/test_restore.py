"""After a restore, an upload or a promotion the real tools plan and apply as usual."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.place import Place
from tests.support.repositories import MODULE
from tests.support.tools import Checkout, find_tool

WORKSPACE = "/projects/{project}/workspaces/{workspace}"
ENCRYPTED = """
terraform {
  encryption {
    key_provider "pbkdf2" "ours" {
      passphrase = "correct horse battery staple"
    }
    method "aes_gcm" "ours" {
      keys = key_provider.pbkdf2.ours
    }
    state {
      method   = method.aes_gcm.ours
      enforced = true
    }
  }
}
"""


def restore(place: Place, number: int) -> dict[str, Any]:
    path = place.filled(f"{WORKSPACE}/states/{number}/restore")
    made: dict[str, Any] = place.api.post(path)
    return made


def nothing_to_change(checkout: Checkout, *arguments: str) -> bool:
    done = checkout.run("plan", "-detailed-exitcode", "-input=false", *arguments)
    assert done.returncode in {0, 2}, done.stdout + done.stderr
    return done.returncode == 0


def test_after_a_restore_the_tool_plans_and_applies_as_ever(
    checkout: Checkout, place: Place
) -> None:
    checkout.apply("-var", "greeting=first")
    first = place.versions()[0]
    checkout.apply("-var", "greeting=second")

    made = restore(place, first["number"])

    assert made["serial"] > first["serial"] + 1
    assert nothing_to_change(checkout, "-var", "greeting=first")
    assert not nothing_to_change(checkout, "-var", "greeting=second")
    checkout.apply("-var", "greeting=third")
    assert place.state.read().json()["outputs"]["greeting"]["value"] == "third"
    assert place.versions()[0]["forced"] is False


def test_a_plan_that_was_saved_before_a_restore_is_not_applied_after_it(
    checkout: Checkout, place: Place
) -> None:
    checkout.apply()
    number = place.versions()[0]["number"]
    checkout.apply("-var", "greeting=changed")
    checkout.must("plan", "-input=false", "-out=saved.plan", "-var", "greeting=third")

    restore(place, number)
    done = checkout.run("apply", "-input=false", "saved.plan")

    assert done.returncode == 1
    assert "stale" in done.stderr


def test_a_pulled_state_is_uploaded_into_another_workspace_and_goes_on_there(
    checkout: Checkout, place: Place
) -> None:
    checkout.apply()
    pulled = checkout.must("state", "pull").encode()
    elsewhere = place.another_workspace()
    path = "/api/v1" + place.filled("/projects/{project}/workspaces/")

    answer = place.wire.send(
        "POST",
        path + elsewhere.path.rpartition("/")[2] + "/states",
        pulled,
        {"Authorization": f"Bearer {place.api.token}"},
    )

    assert answer.status == 201, answer.body
    assert elsewhere.read().body == pulled
    checkout.connect(elsewhere)
    checkout.must("init", "-reconfigure", "-input=false")
    assert nothing_to_change(checkout)
    checkout.apply("-var", "greeting=moved")


def test_what_a_tool_could_not_save_is_promoted_and_it_goes_on(
    checkout: Checkout, place: Place
) -> None:
    checkout.apply()
    pushed = place.state.read().json()
    pushed["outputs"]["greeting"]["value"] = "rescued"
    document = json.dumps(pushed).encode()  # the same serial with other bytes
    assert place.state.write(document).status == 409

    (kept,) = place.api.get(place.filled(f"{WORKSPACE}/rescued"))["items"]
    place.api.post(place.filled(f"{WORKSPACE}/rescued/{kept['id']}/promote"))

    assert '"rescued"' in checkout.must("output", "greeting")
    checkout.apply("-var", "greeting=after")
    assert place.state.read().json()["outputs"]["greeting"]["value"] == "after"


@pytest.fixture
def encrypting(tmp_path: Path, place: Place, terraform_in_wheel: Path) -> Callable[[], Checkout]:
    """A folder whose tofu encrypts the state itself."""

    def make() -> Checkout:
        tofu = find_tool("tofu", otherwise=terraform_in_wheel)
        folder = Checkout(tofu, tmp_path / "encrypting", MODULE + ENCRYPTED)
        folder.connect(place.state)
        folder.init()
        return folder

    return make


def test_what_tofu_encrypted_is_restored_and_the_next_apply_works(
    encrypting: Callable[[], Checkout], place: Place
) -> None:
    folder = encrypting()
    folder.apply("-var", "greeting=first")
    before = place.state.read().body
    first = place.versions()[0]
    folder.apply("-var", "greeting=second")

    made = restore(place, first["number"])

    assert (made["serial"], made["forced"]) == (first["serial"], True)
    assert place.state.read().body == before
    assert nothing_to_change(folder, "-var", "greeting=first")
    folder.apply("-var", "greeting=third")
    newest = place.versions()[0]
    assert (newest["serial"], newest["forced"]) == (first["serial"] + 1, False)
    assert '"third"' in folder.must("output", "greeting")


def test_tofu_refuses_an_encrypted_state_whose_outer_serial_was_lifted(
    encrypting: Callable[[], Checkout], place: Place
) -> None:
    folder = encrypting()
    folder.apply()
    lifted = place.state.read().json()
    lifted["serial"] += 5
    assert place.state.write(json.dumps(lifted).encode()).status == 200

    done = folder.run("plan", "-input=false")

    assert done.returncode == 1
    assert "serial" in done.stderr
