"""export-state: move the state to the backend that the sources configure, and close ours."""

from __future__ import annotations

import os
from pathlib import Path

from runner.detection import override
from runner.detection.detect import Verdict
from runner.detection.override import Override
from runner.errors import DetectionError, RunnerError, TransferError
from runner.events import Outcome
from runner.recipes import own_backend, steps
from runner.recipes.context import RunContext
from runner.recipes.own_backend import STATE_FILE
from runner.recipes.pulled import Pulled
from runner.sources.source import Checkout


def take_out(context: RunContext, checkout: Checkout, verdict: Verdict) -> Outcome:
    """Write our state to the sources' backend, verify the copy, and close ours.

    Ours is locked before it is read, until it is closed or the run ends. Raises TransferError when
    the sources configure no backend, it has a state already, or ours is empty, locked or closed.
    """
    _refuse_no_target(context, verdict)
    injected = steps.inject_ours(context, checkout, verdict)
    steps.init(context, checkout, verdict, injected)
    context.events.planning()
    ours = _read_ours(context, checkout)
    there = _read_target(context, checkout, verdict, injected, ours)
    context.events.applying()
    try:
        _migrate(context, checkout, ours, there)
        _verify(context, checkout, ours)
        _archive(context, verdict)
    except RunnerError:
        context.warn(
            f"The state here is still the one in use, but a copy may be in {verdict}. Queue "
            "export-state again, which goes on with that copy, or remove the copy there."
        )
        raise
    return Outcome("applied")


def _refuse_no_target(context: RunContext, verdict: Verdict) -> None:
    with context.step("check"):
        if verdict.kind not in ("backend", "cloud", "state_store"):
            raise TransferError(
                "no-target",
                f"The sources configure no backend to move the state to (detected: {verdict}). "
                "Add the block, or queue the run with a ref that has it.",
            )
        if context.job.standing == "archived":
            raise TransferError("state-archived", "The state was already moved to another backend.")
        if context.job.standing in ("unwritten", "empty"):
            raise TransferError("nothing-to-export", "The state here is empty.")


def _read_ours(context: RunContext, checkout: Checkout) -> Pulled:
    """Lock and read our state; if OpenTofu encrypts it, in clear."""
    with context.step("pull") as detail:
        detail.update(context.events.hold())
        ours = own_backend.pull(context, checkout)
        if ours is None or not ours.holds_something:
            raise TransferError("nothing-to-export", "The state here is empty.")
        detail.update(ours.described())
    return ours


def _read_target(
    context: RunContext, checkout: Checkout, verdict: Verdict, injected: Override, ours: Pulled
) -> Pulled | None:
    """Read the sources' backend. It must be empty, or have a copy that an earlier run left."""
    with context.step("target") as detail:
        (checkout.folder / injected.file_name).unlink()
        (context.work.data / STATE_FILE).unlink()  # otherwise init would ask whether to migrate
        context.use_own_backend()
        steps.prepare(context, checkout, verdict, None)
        _refuse_a_local_one_that_is_lost(context)
        there = own_backend.pull(context, checkout)
        if there is None:
            context.say(f"There is no state in {verdict} yet.")
            return None
        detail.update(there.described())
        if there.holds_the_same(ours):
            context.say(f"There is already a copy of this state in {verdict}.")
            return there
    raise TransferError(
        "target-not-empty",
        f"There is already a state in {verdict}: serial {there.serial} of lineage "
        f"{there.lineage}. Nothing was changed. Remove it, or change the backend in the sources.",
    )


def _refuse_a_local_one_that_is_lost(context: RunContext) -> None:
    noted = override.noted_backend(context.work.data)
    path = str((noted.get("config") or {}).get("path") or STATE_FILE)
    seen, is_full = context.room.seen, context.room.sandbox.is_full
    inside = Path(os.path.normpath(seen.checkout / path)).is_relative_to(seen.root)
    if noted.get("type") == "local" and (inside or is_full):
        raise DetectionError(
            "state-would-be-lost",
            "The state of this local backend would be in the run's folder, which is removed.",
        )


def _migrate(context: RunContext, checkout: Checkout, ours: Pulled, there: Pulled | None) -> None:
    with context.step("migrate"):
        if there is None:
            own_backend.push(context, checkout, ours)
            there = own_backend.pull(context, checkout)
        if there is None or not there.holds_the_same(ours):
            raise _differs()
        if there.lineage != ours.lineage:  # the tools give a state that is new there a new lineage
            own_backend.push_over(context, checkout, ours)


def _verify(context: RunContext, checkout: Checkout, ours: Pulled) -> None:
    with context.step("verify") as detail:
        there = own_backend.pull(context, checkout)
        if there is None or not there.holds_the_same(ours) or there.lineage != ours.lineage:
            raise _differs()
        detail.update(there.described())
        context.say(f"The copy is right: serial {there.serial} of lineage {there.lineage}.")


def _archive(context: RunContext, verdict: Verdict) -> None:
    with context.step("archive") as detail:
        to = f"{verdict} of {context.job.source.url} ({verdict.where})"
        detail.update(context.events.archive(to))
        context.say(f"The state here is archived. It was moved to {to}.")


def _differs() -> TransferError:
    return TransferError(
        "copy-differs", "The copy differs from what was written: somebody else writes there too."
    )
