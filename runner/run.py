"""The recipe of a run, step by step: clone, detect, override, init, plan, apply, collect."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from . import commands, export_state, found, import_state, steps, variables, workdir
from .errors import ToolError
from .events import Events, Outcome
from .job import Job
from .line import Line
from .override import Override
from .source import Checkout
from .workdir import WorkDir

UNWRITTEN = "errored.tfstate"
NO_CHANGES, CHANGES = 0, 2  # of plan -detailed-exitcode


def execute(job: Job, events: Events) -> Outcome:
    """Run a job to its end, in a folder of its own that is gone afterwards.

    Raises RunnerError with a stable code: SourceError, DetectionError, ToolError,
    TransferError, Stopped, Fenced.
    """
    with workdir.create(job.work_root, job.run_id, job.epoch) as work:
        line = Line(job, events, work)
        line.begin()
        checkout = steps.clone(line)
        verdict = steps.find_backend(line, checkout)
        if job.operation == "import-state":
            return import_state.bring_in(line, checkout, verdict)
        if job.operation == "export-state":
            return export_state.take_out(line, checkout, verdict)
        injected = steps.choose_backend(line, checkout, verdict)
        steps.init(line, checkout, verdict, injected)
        events.planning()
        if not _plan(line, checkout):
            return Outcome("planned_and_finished")
        events.applying()
        _apply(line, checkout)
        _collect(line, checkout, injected)
        return Outcome("applied")


def unwritten_states(work: WorkDir) -> Iterator[BinaryIO]:
    """The states that a tool could not write, wherever in its checkout it ran."""
    return found.named(work.root, work.checkout.name, UNWRITTEN)


def _plan(line: Line, checkout: Checkout) -> bool:
    """Whether there is something to apply, and the run asks for it."""
    job, work, file = line.job, line.work, _plan_file(line)
    with line.step("plan") as detail:
        command = commands.plan(line.tool, job.operation, file, job.variables)
        code = line.run(command, checkout.folder, accepted=(NO_CHANGES, CHANGES))
        detail |= {"changes": line.changes}
        line.events.noted({"changes": line.changes})
    if code == NO_CHANGES or job.operation == "plan":
        return False
    line.events.planned(line.changes, found.sha256(work.root, work.plan.name, file.name))
    return True


def _apply(line: Line, checkout: Checkout) -> None:
    with line.step("apply"):
        try:
            line.run(_apply_command(line, checkout), checkout.folder)
        finally:
            for document in unwritten_states(line.work):
                line.say("The tool could not write its state: it is taken in here.")
                line.events.rescue(document)


def _apply_command(line: Line, checkout: Checkout) -> commands.Command:
    """The saved plan holds the variables, but for ephemeral ones, which apply is given again."""
    given = [v for v in line.job.variables if v.kind == "terraform"]
    if commands.knows_variables(line.tool):  # its encryption may be made of them
        return commands.apply(line.tool, _plan_file(line), given)
    if not given or not variables.may_be_ephemeral(checkout.folder, line.tool):
        return commands.apply(line.tool, _plan_file(line))
    said = line.ask(commands.show(line.tool, _plan_file(line)), checkout.folder)
    missing = variables.ephemeral(given, _parsed(said))
    return commands.apply(line.tool, _plan_file(line), missing)


def _collect(line: Line, checkout: Checkout, injected: Override | None) -> None:
    with line.step("collect") as detail:
        if injected is not None:
            detail.update(line.events.collect())
            return
        outputs = _parsed(line.ask(commands.output(line.tool, line.job.variables), checkout.folder))
        detail["outputs"] = {k: _shown(v) for k, v in outputs.items()}


def _shown(output: Mapping[str, Any]) -> Any:
    return None if output.get("sensitive") else output.get("value")


def _plan_file(line: Line) -> Path:
    return line.work.plan / "plan"


def _parsed(said: bytes) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = json.loads(said or b"{}")
    except ValueError:
        raise ToolError("output-unreadable", "The tool's answer is not JSON.") from None
    return parsed
