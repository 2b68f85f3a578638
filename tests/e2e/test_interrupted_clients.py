"""terraform or the server ends in the middle of an apply: the state is the old or the new one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.place import Place
from tests.support.processes import living_in
from tests.support.repositories import sleeping_module, waiting_module
from tests.support.slow_apply import start_slow_apply
from tests.support.stateroom import Stateroom
from tests.support.tools import Checkout


def resources(document: dict[str, Any]) -> set[str]:
    return {resource["name"] for resource in document["resources"]}


def test_after_ctrl_c_the_state_has_what_was_made_and_is_unlocked(
    checkout: Checkout, place: Place
) -> None:
    apply = start_slow_apply(checkout)

    apply.interrupt_group()
    code = apply.wait()

    assert code == 1
    assert resources(place.state.read().json()) >= {"quick"}
    assert not place.is_locked()
    checkout.write("main.tf", sleeping_module(0))
    checkout.apply()
    assert resources(place.state.read().json()) == {"quick", "slow"}


def test_after_kill_9_the_state_is_the_old_one_and_force_unlock_goes_on(
    checkout: Checkout, place: Place
) -> None:
    checkout.apply()
    old = place.state.read().body
    apply = start_slow_apply(checkout)

    apply.kill_tree()

    assert place.state.read().body == old
    assert place.is_locked()
    checkout.must("force-unlock", "-force", place.lock_id())
    checkout.write("main.tf", sleeping_module(0))
    checkout.apply()
    assert resources(place.state.read().json()) == {"quick", "slow"}
    assert living_in(checkout.folder) == []


@pytest.fixture
def mortal(new_stateroom: Callable[..., Stateroom]) -> Stateroom:
    """An installation that may be killed."""
    installation = new_stateroom()
    installation.start_server()
    return installation


@pytest.fixture
def mortal_place(mortal: Stateroom) -> Place:
    return mortal.place()


@pytest.fixture
def connected(new_checkout: Callable[..., Checkout], mortal_place: Place) -> Checkout:
    folder = new_checkout()
    folder.connect(mortal_place.state)
    folder.init()
    folder.apply()
    return folder


def test_a_server_killed_in_mid_apply_and_started_again_is_not_noticed(
    mortal: Stateroom, connected: Checkout, mortal_place: Place, tmp_path: Path
) -> None:
    apply = start_slow_apply(connected, waiting_module(tmp_path / "gate"))

    mortal.kill_server()
    mortal.start_server()
    (tmp_path / "gate").touch()
    code = apply.wait()

    assert code == 0, apply.said()
    assert resources(mortal_place.state.read().json()) == {"quick", "slow"}
    assert not mortal_place.is_locked()


def test_a_server_that_stays_away_leaves_the_state_with_the_client(
    mortal: Stateroom, connected: Checkout, mortal_place: Place, tmp_path: Path
) -> None:
    old = mortal_place.state.read().body
    apply = start_slow_apply(connected, waiting_module(tmp_path / "gate"))

    mortal.kill_server()
    (tmp_path / "gate").touch()
    code = apply.wait(60)
    mortal.start_server()

    assert code == 1
    assert mortal_place.state.read().body == old
    assert resources(connected.errored_state()) == {"quick", "slow"}
    connected.must("force-unlock", "-force", mortal_place.lock_id())
    connected.must("state", "push", "errored.tfstate")
    assert resources(mortal_place.state.read().json()) == {"quick", "slow"}
    assert json.loads(connected.must("state", "pull"))["lineage"] == json.loads(old)["lineage"]
