"""What terraform and tofu show of a lock that they do not get, and of one that they lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.keeper import Keeper
from tests.support.place import Place
from tests.support.slow_apply import start_slow_apply
from tests.support.tools import Checkout


@pytest.mark.parametrize("command", [("plan",), ("apply", "-auto-approve")])
def test_a_frozen_workspace_is_told_in_the_id_of_the_lock(
    checkout: Checkout, place: Place, command: tuple[str, ...]
) -> None:
    Keeper(place).freeze("we move the network")

    done = checkout.run(*command, "-input=false", "-no-color")

    assert done.returncode == 1
    assert "workspace-frozen" in done.stderr
    if checkout.tool.name == "tofu":  # terraform shows the ID alone
        assert "we move the network" in done.stderr


def test_a_frozen_workspace_is_planned_without_a_lock_and_never_written(
    checkout: Checkout, place: Place
) -> None:
    checkout.apply()
    before = place.state.read().body
    Keeper(place).freeze()

    planned = checkout.run("plan", "-lock=false", "-input=false", "-no-color")
    applied = checkout.run(
        "apply", "-lock=false", "-auto-approve", "-input=false", "-var", "greeting=changed"
    )

    assert (planned.returncode, applied.returncode) == (0, 1)
    assert place.state.read().body == before
    assert [kept["reason"] for kept in Keeper(place).rescued()][-1] == "workspace-frozen"
    assert checkout.errored_state()["outputs"]["greeting"]["value"] == "changed"


def test_an_apply_that_began_before_the_freeze_is_saved(checkout: Checkout, place: Place) -> None:
    apply = start_slow_apply(checkout)
    Keeper(place).freeze()

    apply.interrupt_group()
    apply.wait()

    made = {resource["name"] for resource in place.state.read().json()["resources"]}
    assert made >= {"quick"}
    assert not place.is_locked()
    assert Keeper(place).rescued() == []


def test_a_lock_that_is_held_by_hand_says_by_whom(checkout: Checkout, place: Place) -> None:
    held = Keeper(place).hold(30, "we look at it by hand")

    done = checkout.run("plan", "-input=false", "-no-color")

    assert done.returncode == 1
    assert held["lock_id"].startswith("held-by-administrator-")
    assert held["lock_id"] in done.stderr


def test_a_quota_is_told_in_the_id_of_the_lock(checkout: Checkout, place: Place) -> None:
    checkout.apply()
    Keeper(place).set_quotas(max_state_bytes=10)

    done = checkout.run("plan", "-input=false", "-no-color")

    assert done.returncode == 1
    assert "quota-state-size" in done.stderr


def test_the_next_apply_takes_over_from_one_that_was_silent_and_the_late_one_loses_nothing(
    checkout: Checkout, new_checkout: Callable[..., Checkout], place: Place
) -> None:
    keeper = Keeper(place)
    keeper.set_lock_timeout(60)
    late = start_slow_apply(checkout)
    keeper.let_seconds_pass(61)
    following = new_checkout("following")
    following.connect(place.state)
    following.init()

    following.apply()
    late.interrupt_group()
    code = late.wait()

    assert code == 1
    assert place.state.read().json()["outputs"]["greeting"]["value"] == "hello"
    assert {kept["reason"] for kept in keeper.rescued()} == {"lock-taken-over"}
    unsaved = checkout.errored_state()
    assert {resource["name"] for resource in unsaved["resources"]} >= {"quick"}
    assert not place.is_locked()
    following.must("plan", "-input=false", "-no-color")
