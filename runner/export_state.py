"""export-state: the state moves to where the sources keep theirs, and ours is closed."""

from __future__ import annotations

import os
from pathlib import Path

from . import override, own_backend, steps
from .detect import Verdict
from .errors import DetectionError, RunnerError, TransferError
from .events import Outcome
from .line import Line
from .override import Override
from .own_backend import STATE_FILE
from .pulled import Pulled
from .source import Checkout


def take_out(line: Line, checkout: Checkout, verdict: Verdict) -> Outcome:
    """export-state: write our state where the sources say, see it there, and close ours.

    Ours is locked from before it is read until it is closed, or the run ends. Raises TransferError:
    there is no such place, something is there already, or ours is empty, locked or closed.
    """
    _refuse_no_target(line, verdict)
    injected = steps.inject_ours(line, checkout, verdict)
    steps.init(line, checkout, verdict, injected)
    line.events.planning()
    ours = _read_ours(line, checkout)
    there = _read_target(line, checkout, verdict, injected, ours)
    line.events.applying()
    try:
        _migrate(line, checkout, ours, there)
        _verify(line, checkout, ours)
        _archive(line, verdict)
    except RunnerError:
        line.warn(
            f"The state here is still the one in use. A copy of it may be in {verdict} now: "
            "queue export-state again, which goes on with that copy, or empty it there."
        )
        raise
    return Outcome("applied")


def _refuse_no_target(line: Line, verdict: Verdict) -> None:
    with line.step("check"):
        if verdict.kind not in ("backend", "cloud", "state_store"):
            raise TransferError(
                "no-target",
                f"The sources name no backend to move the state to: the verdict is {verdict}. "
                "Add the block, or queue the run with a ref that has it.",
            )
        if line.job.standing == "archived":
            raise TransferError("state-archived", "The state was moved to another backend already.")
        if line.job.standing in ("unwritten", "empty"):
            raise TransferError("nothing-to-export", "The state here holds nothing.")


def _read_ours(line: Line, checkout: Checkout) -> Pulled:
    """Our state, in clear where OpenTofu encrypts it, locked from now on."""
    with line.step("pull") as detail:
        detail.update(line.events.hold())
        ours = own_backend.pull(line, checkout)
        if ours is None or not ours.holds_something:
            raise TransferError("nothing-to-export", "The state here holds nothing.")
        detail.update(ours.described())
    return ours


def _read_target(
    line: Line, checkout: Checkout, verdict: Verdict, injected: Override, ours: Pulled
) -> Pulled | None:
    """What is in the backend of the sources: nothing, or a copy of ours that a dead run left."""
    with line.step("target") as detail:
        (checkout.folder / injected.file_name).unlink()
        (line.work.data / STATE_FILE).unlink()  # with it, init would ask whether to migrate
        line.use_own_backend()
        steps.prepare(line, checkout, verdict, None)
        _refuse_a_local_one_that_is_lost(line)
        there = own_backend.pull(line, checkout)
        if there is None:
            line.say(f"Nothing is in {verdict} yet.")
            return None
        detail.update(there.described())
        if there.holds_the_same(ours):
            line.say(f"A copy of this state is in {verdict} already.")
            return there
    raise TransferError(
        "target-not-empty",
        f"There is a state in {verdict} already: serial {there.serial} of lineage "
        f"{there.lineage}. Nothing was changed. Name another place in the sources, or remove it.",
    )


def _refuse_a_local_one_that_is_lost(line: Line) -> None:
    noted = override.noted_backend(line.work.data)
    path = str((noted.get("config") or {}).get("path") or STATE_FILE)
    inside = Path(os.path.normpath(line.work.checkout / path)).is_relative_to(line.work.root)
    if noted.get("type") == "local" and inside:
        raise DetectionError(
            "state-would-be-lost", "The local backend is in the run's folder, and ends with it."
        )


def _migrate(line: Line, checkout: Checkout, ours: Pulled, there: Pulled | None) -> None:
    with line.step("migrate"):
        if there is None:
            own_backend.push(line, checkout, ours)
            there = own_backend.pull(line, checkout)
        if there is None or not there.holds_the_same(ours):
            raise _differs()
        if there.lineage != ours.lineage:  # the tools give a new one to what was never written
            own_backend.push_over(line, checkout, ours)


def _verify(line: Line, checkout: Checkout, ours: Pulled) -> None:
    with line.step("verify") as detail:
        there = own_backend.pull(line, checkout)
        if there is None or not there.holds_the_same(ours) or there.lineage != ours.lineage:
            raise _differs()
        detail.update(there.described())
        line.say(f"It is there: serial {there.serial} of lineage {there.lineage}.")


def _archive(line: Line, verdict: Verdict) -> None:
    with line.step("archive") as detail:
        to = f"{verdict} of {line.job.source.url} ({verdict.where})"
        detail.update(line.events.archive(to))
        line.say(f"The state here is archived: it lives on in {to}.")


def _differs() -> TransferError:
    return TransferError(
        "copy-differs", "What is there is not what was written: somebody else writes there too."
    )
