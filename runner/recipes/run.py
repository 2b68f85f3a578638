"""The steps of a run: clone, detect, override, init, plan, apply, collect.

A plan that waits for an approval ends the first leg. The second one is another claim of the same
run, with the plan in its job: it applies exactly that plan, and plans nothing again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from runner.detection.override import Override
from runner.errors import Fenced, RunnerError, Stopped, ToolError
from runner.events import Events, Outcome
from runner.job import HARMLESS, REFRESHING, Job
from runner.plans import drift, selected
from runner.plans.plan_read import PlanRead
from runner.processes import found, room, stable_path, workdir
from runner.processes.workdir import WorkDir
from runner.recipes import (
    applying,
    choosing,
    export_state,
    going_back,
    import_state,
    plan_bundle,
    planned,
    second_leg,
    steps,
)
from runner.recipes.context import RunContext
from runner.sources.source import Checkout
from runner.tools import commands, variables
from runner.tools.environment import terms

OUTPUTS_BYTES = 1 << 20  # of outputs that are kept with a step
_APPLIED = "Everything was applied, but its outputs could not be read:"
NO_CHANGES, CHANGES = 0, 2  # exit codes of plan -detailed-exitcode
_PARTIAL = (
    "The plan is incomplete: it is about the targets and what they depend on, and nothing else was "
    "looked at. Plan without targets afterwards, to see whether anything is left."
)

_OTHER_PATH = (
    "The path of the sources is not the one of other runs of this workspace: what stores "
    "abspath(path.module) or path.cwd may show changes. Another run of the workspace is at work on "
    f"this machine, or another user has the folder {stable_path.ROOT}."
)


def execute(job: Job, events: Events) -> Outcome:
    """Execute a job in its own folder, which is removed afterwards.

    Raises RunnerError with a stable code: SourceError, DetectionError, ToolError,
    TransferError, Stopped, Fenced.
    """
    tool = choosing.before_the_clone(job, events)
    with (
        _work_dir(job, events) as made,
        _on_its_path(job, events, made) as work,
        room.opened(work, terms(tool, job)) as opened,
    ):
        context = RunContext(job, events, work, opened, tool)
        context.begin()
        if not opened.sandbox.is_full and work.link is None:
            context.warn(_OTHER_PATH)
        checkout = steps.clone(context)
        verdict = steps.find_backend(context, checkout)
        if job.operation == "import-state":
            return import_state.bring_in(context, checkout, verdict)
        if job.operation == "export-state":
            return export_state.take_out(context, checkout, verdict)
        injected = steps.choose_backend(context, checkout, verdict)
        if job.approved is not None:
            second_leg.prepare(context, checkout, verdict, injected)
            events.applying()
            return _apply(context, checkout, injected, job.approved.changes)
        goes_back = going_back.mark(context, checkout, injected=injected is not None)
        before = plan_bundle.listed(work)
        steps.init(context, checkout, verdict, injected)
        events.planning()
        plan = _plan(context, checkout)
        going_back.name_deletions(context, goes_back, plan)
        if job.operation in HARMLESS or not plan.has_changes:
            return Outcome("planned_and_finished")
        if not _is_approved(context, plan):
            second_leg.keep(context, checkout, before, is_ours=injected is not None)
            return Outcome("planned")
        return _apply(context, checkout, injected, plan.summary)


def _work_dir(job: Job, events: Events) -> AbstractContextManager[WorkDir]:
    """The run's folder, once nothing of an earlier run of the workspace is at work here."""
    told = False

    def wait() -> None:
        nonlocal told
        if not told:
            events.output(b"Waiting for the commands of an earlier run of this workspace to end.\n")
            told = True
        if events.stop():
            raise Stopped("canceled", "The run was canceled while it waited for an earlier one.")

    turn = "" if job.operation in HARMLESS else job.workspace_id
    return workdir.create(job.work_root, job.run_id, job.epoch, turn=turn, waiting=wait)


@contextmanager
def _on_its_path(job: Job, events: Events, work: WorkDir) -> Iterator[WorkDir]:
    """The run's folder at the path of its workspace, which a run that changes nothing may miss."""
    if room.chosen(job.sandbox, work.root.parent, job.users).is_full:
        yield work
        return

    def wait() -> bool:
        if events.stop():
            raise Stopped("canceled", "The run was canceled while it waited for another one.")
        return job.operation not in HARMLESS

    with stable_path.held(work, job.workspace_id, wait) as placed:
        yield placed


def _plan(context: RunContext, checkout: Checkout) -> PlanRead:
    job, file = context.job, _plan_file(context)
    with context.step("plan") as detail:
        selection = commands.selection(job)
        command = commands.plan(
            context.tool, job.operation, file, job.variables, selection, context.variable_files
        )
        code = context.run(command, checkout.folder, accepted=(NO_CHANGES, CHANGES))
        plan = planned.read(context, checkout, file, has_changes=code == CHANGES)
        detail |= {"changes": dict(plan.summary), "has_changes": plan.has_changes}
        if job.operation == "drift":
            detail.update(_detect_drift(context, plan))
        context.events.noted({"changes": dict(plan.summary)})
        context.events.plan_read(plan)
    if job.targets:
        context.warn(_PARTIAL)
    if job.operation not in REFRESHING:
        context.warn(*selected.warnings(plan, job.targets, job.replace))
    return plan


def _detect_drift(context: RunContext, plan: PlanRead) -> Mapping[str, Any]:
    """Tell what was changed outside. The tool's exit code also counts what says nothing."""
    outside = drift.find(plan)
    context.events.drifted(outside)
    context.say(
        f"Changed outside: {outside.resource_count} resources and {outside.output_count} outputs."
        + (
            f" {outside.unimportant} more differ in empty values only."
            if outside.unimportant
            else ""
        )
    )
    counts = {"resources": outside.resource_count, "outputs": outside.output_count}
    return {"drift": counts, "has_changes": outside.is_any}


def _is_approved(context: RunContext, plan: PlanRead) -> bool:
    """Whether the plan may be applied without a person, who would look at it first."""
    work, name = context.work, _plan_file(context).name
    digest = found.sha256(work.root, work.plan.name, name)
    return context.events.planned(plan.summary, digest)


def _apply(
    context: RunContext,
    checkout: Checkout,
    injected: Override | None,
    changes: Mapping[str, int],
) -> Outcome:
    context.changes = sum(changes.get(kind, 0) for kind in ("add", "change", "destroy"))
    with context.step("apply"):
        command = _apply_command(context, checkout)
        applying.apply(context, command, checkout.folder, is_ours=injected is not None)
    _collect(context, checkout, injected)
    return Outcome("applied")


def _apply_command(context: RunContext, checkout: Checkout) -> commands.Command:
    """The apply. Ephemeral variables are passed again, because the saved plan lacks them."""
    plan_file, files = _plan_file(context), context.variable_files
    given = [v for v in context.job.variables if v.kind == "terraform"]
    if commands.knows_variables(context.tool):  # its encryption may use them
        return commands.apply(context.tool, plan_file, given, files)
    if not (given or files) or not variables.may_be_ephemeral(checkout.folder, context.tool):
        return commands.apply(context.tool, plan_file)
    plan = planned.read(context, checkout, plan_file, has_changes=True)
    missing = [v for v in given if v.name in plan.missing_variables]
    lacks_others = set(plan.missing_variables) - {v.name for v in missing}
    return commands.apply(context.tool, plan_file, missing, files if lacks_others else ())


def _collect(context: RunContext, checkout: Checkout, injected: Override | None) -> None:
    """Note what the state contains now. The run is applied, whatever happens here."""
    with context.step("collect") as detail:
        try:
            if injected is not None:
                detail.update(context.events.collect())
            else:
                detail["outputs"] = _outputs(context, checkout)
        except Fenced:
            raise
        except RunnerError as error:
            context.warn(f"{_APPLIED} {error}")
        except Exception as fault:  # noqa: BLE001 nothing that only informs may fail the run
            context.warn(f"{_APPLIED} {type(fault).__name__}")


def _outputs(context: RunContext, checkout: Checkout) -> dict[str, Any]:
    """The outputs in the backend of the sources. Raises ToolError and Stopped."""
    command = commands.output(context.tool, context.job.variables, context.variable_files)
    outputs = _parsed(context.ask(command, checkout.folder))
    shown = {name: _shown(value) for name, value in outputs.items()}
    if len(json.dumps(shown)) > OUTPUTS_BYTES:
        raise ToolError(
            "outputs-too-large",
            f"they are larger than the {OUTPUTS_BYTES:,} bytes that are kept of a run.",
        )
    return shown


def _shown(output: Mapping[str, Any]) -> Any:
    return None if output.get("sensitive") else output.get("value")


def _plan_file(context: RunContext) -> Path:
    return context.room.seen.plan / "plan"


def _parsed(said: bytes) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = json.loads(said or b"{}")
    except ValueError:
        raise ToolError("output-unreadable", "The output of the tool is not JSON.") from None
    return parsed
