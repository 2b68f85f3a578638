"""The apply, and what becomes of a state that the tool could not store.

The tool then writes the state into errored.tfstate; and when it cannot do that either, because the
disk is full, it prints it. Both are stored by the worker, so that a run says what is true: that
everything was stored after all, where the state is kept, or that it is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from runner.errors import Stopped, ToolError
from runner.events import Rescue
from runner.processes import found
from runner.processes.workdir import WorkDir
from runner.recipes.context import RunContext
from runner.tools.commands import Command
from runner.tools.failures import SAVING, UNLOCKING
from runner.tools.printed_state import PrintedState

UNWRITTEN = "errored.tfstate"
_CODE = "state-write-failed"
_UNSAVED = SAVING - {UNLOCKING}


def unwritten_states(work: WorkDir) -> Iterator[BinaryIO]:
    """The states that the tool could not write, from any folder of its checkout."""
    return found.named(work.root, work.checkout.name, UNWRITTEN)


def apply(context: RunContext, command: Command, folder: Path, *, is_ours: bool) -> None:
    """Apply, and store what the tool could not store. `is_ours`: its backend is Stateroom.

    Raises Stopped and ToolError, which say what became of the state. It is no error when everything
    was applied, and the worker could store the state.
    """
    printed = PrintedState(2 * context.job.limits.state)
    store = context.events.rescue if is_ours else context.events.keep
    rescues: list[Rescue] = []
    is_complete = False
    try:
        failed = _attempt(context, command, folder, printed)
        is_complete = failed is None
    finally:  # also when the worker has lost the run: then they are kept
        rescues += [store(file) for file in unwritten_states(context.work)]
        with printed.taken() as document:
            if document is not None and is_complete:
                context.show(document)  # the value of an output
            elif document is not None:
                rescues.append(store(document))
    if failed is not None:
        _judge(context, failed, sorted(rescues, key=_by_fate), is_ours=is_ours)


def _attempt(
    context: RunContext, command: Command, folder: Path, printed: PrintedState
) -> Stopped | ToolError | None:
    """Apply, and return what prevented it from being complete, if anything did."""
    try:
        context.run(command, folder, printed=printed)
    except Stopped as stopped:
        if stopped.returncode != 0:
            return stopped
        # interrupted before its end, both tools end with 1: "execution halted"
        context.warn("The run was asked to stop when everything was applied already.")
    except ToolError as failed:
        return failed
    return None


def _by_fate(rescue: Rescue) -> int:
    """Stored first, then kept, then lost."""
    return 0 if rescue.version is not None else 1 if rescue.kept is not None else 2


def _judge(
    context: RunContext, failed: Stopped | ToolError, rescues: Sequence[Rescue], *, is_ours: bool
) -> None:
    """Raise the error with what became of the state, unless everything is applied and stored."""
    summaries = failed.summaries if isinstance(failed, ToolError) else ()
    unsaved = bool(_UNSAVED & {*summaries})
    if not rescues and not unsaved:
        if summaries == (UNLOCKING,):
            context.warn(
                f"{context.tool.name} could not release its lock, which ends with the run."
            )
            return
        raise failed
    best = rescues[0] if rescues else Rescue(reason="nothing-left")
    said = _fate(context, best, is_ours=is_ours)
    context.warn(said)
    if best.version is not None and summaries and SAVING.issuperset(summaries):
        return
    raise _with_fate(context, failed, summaries, best, said)


def _fate(context: RunContext, best: Rescue, *, is_ours: bool) -> str:
    name = context.tool.name
    if best.version is not None:
        return (
            f"{name} could not store the state. The worker stored it: it is in version "
            f"{best.version}."
        )
    if best.kept is not None and is_ours:
        return (
            f"{name} could not store the state, and as a new version it was refused "
            f"({best.reason}). It is kept as the rescued write {best.kept}: look at it, and "
            "promote or dismiss it. Nothing runs in this workspace before."
        )
    if best.kept is not None:
        return (
            f"{name} could not store the state in the backend of the sources. It is kept as the "
            f"rescued write {best.kept}: download it, write it there with `{name} state push`, and "
            "dismiss it. Nothing runs in this workspace before."
        )
    last = context.events.collect().get("version") if is_ours else None
    since = f" after version {last}" if last else ""
    return (
        f"{name} could not store the state, and left nothing that could be kept ({best.reason}). "
        f"What this run made or changed{since} is in no state: compare the log with what really "
        "exists, and import what is missing."
    )


def _with_fate(
    context: RunContext,
    failed: Stopped | ToolError,
    summaries: tuple[str, ...],
    best: Rescue,
    said: str,
) -> Stopped | ToolError:
    """The error with the fate of the state. If nothing is stored, it is what matters most."""
    others = [summary for summary in summaries if summary not in SAVING]
    if isinstance(failed, Stopped) or (best.version is not None and failed.code != _CODE):
        failed.message = f"{failed.message} {said}"
        return failed
    first = f" The first error: {others[0].rstrip('.')}." if others else ""
    code = _CODE if best.version is None else "apply-failed"
    return ToolError(code, f"{context.tool.name} apply failed.{first} {said}")
