"""Who cancels a run sees in its log how it is stopped, and until when the tool may save."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.place import Place
from tests.support.repositories import sleeping_module


def test_the_log_of_a_canceled_run_says_which_signal_comes_next_and_when(
    run_place: Callable[..., Place],
) -> None:
    run = run_place({"main.tf": sleeping_module(60)}).queue("apply")
    run.wait_to_say("quick")
    run.wait("applying")

    run.cancel()
    ended = run.wait("canceled")

    assert "gets SIGINT, to save the state and to unlock it. It has until " in run.log()
    assert "then it gets SIGINT." in run.log()
    assert ended["stopping"] is None
