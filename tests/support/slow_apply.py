"""An apply that goes on while a test does something else."""

from __future__ import annotations

from tests.support.processes import Process, wait_until
from tests.support.repositories import sleeping_module
from tests.support.tools import Checkout


def start_slow_apply(checkout: Checkout, module: str = sleeping_module(30)) -> Process:
    """Start an apply that has created one resource of the module and is slow with another."""
    checkout.write("main.tf", module)
    apply = checkout.start("apply", "-auto-approve", "-input=false", "-no-color")
    wait_until(lambda: _sleeps(apply), "the slow resource to begin")
    return apply


def _sleeps(apply: Process) -> bool:
    assert apply.running, apply.said()
    return any(child.name() == "sleep" for child in apply.descendants())
