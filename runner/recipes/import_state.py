"""import-state: move the state here from the backend that the sources configure, byte for byte."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from runner.detection import override
from runner.detection.config_files import shown
from runner.detection.detect import Verdict
from runner.errors import ToolError, TransferError
from runner.events import Outcome
from runner.processes import found
from runner.recipes import committed, own_backend, pulled, steps
from runner.recipes.context import RunContext
from runner.recipes.own_backend import DEFAULT, STATE_FILE
from runner.recipes.pulled import Pulled
from runner.sources import checkout as sources
from runner.sources.source import Checkout
from runner.tools import encryption

_ATTEMPTS = 3  # at reading a state that somebody writes at the same time


@dataclass(frozen=True)
class _Source:
    """Where a state was read: in this CLI workspace, or in a file of the repository."""

    state: Pulled
    workspace: str | None


def bring_in(context: RunContext, checkout: Checkout, verdict: Verdict) -> Outcome:
    """Read the state from the sources' backend, and store it here byte for byte.

    Raises TransferError when there is no state, several CLI workspaces have one, OpenTofu encrypts
    it, or ours is locked, newer or has another lineage. Then nothing was changed.
    """
    _refuse_unusable(context, checkout, verdict)
    if verdict.kind != "none":
        _init_theirs(context, checkout, verdict)
    context.events.planning()
    source = _read_source(context, checkout, verdict)
    context.events.applying()
    _import(context, source.state)
    if source.workspace is not None:
        _look_again(context, checkout, verdict, source)
    _say_what_is_left(context, verdict)
    return Outcome("applied")


def _refuse_unusable(context: RunContext, checkout: Checkout, verdict: Verdict) -> None:
    """Refuse sources that no run could use: two backends, nothing to run, unreadable files."""
    with context.step("check"):
        job = context.job
        override.plan_override(
            checkout.folder, job.tool, context.tool.version, verdict, "auto", job.backend, None
        )
        if job.standing == "archived":
            raise TransferError("state-archived", "The state here is archived: unarchive it first.")


def _init_theirs(context: RunContext, checkout: Checkout, verdict: Verdict) -> None:
    context.use_own_backend()
    steps.init(context, checkout, verdict, None)
    if verdict.type == "local":
        sources.put_back(checkout.root, checkout.folder)
        context.room.hand_over(checkout.folder)


def _read_source(context: RunContext, checkout: Checkout, verdict: Verdict) -> _Source:
    with context.step("pull") as detail:
        if verdict.kind == "none":
            source = _Source(_committed(context, checkout, verdict), None)
        else:
            source = _the_only_one(context, checkout, verdict)
        state = source.state
        detail.update(state.described(), workspace=source.workspace, size=len(state.body))
        context.say(f"Found serial {state.serial} of lineage {state.lineage}.")
    return source


def _committed(context: RunContext, checkout: Checkout, verdict: Verdict) -> Pulled:
    """The state file in the repository, for sources that configure no backend."""
    held = committed.states(checkout, context.job.limits.state)
    name, state = _only(context, held, "the repository")
    _refuse_another_workspace(context, checkout, verdict, name)
    return state


def _the_only_one(context: RunContext, checkout: Checkout, verdict: Verdict) -> _Source:
    """The state of the only CLI workspace that has one."""
    held: dict[str, Pulled] = {}
    for name in own_backend.workspaces(context, checkout):
        state = own_backend.pull(context, checkout, name)
        if state is not None and state.holds_something:
            held[name] = state
    name, state = _only(context, held, str(verdict))
    _refuse_another_workspace(context, checkout, verdict, name)
    as_written = _as_written(context, checkout, name, state) if verdict.type == "local" else None
    if as_written is None and encryption.of_states(checkout.folder, context.tool, context.job):
        raise TransferError(
            "state-encrypted",
            f"OpenTofu encrypts the state in {verdict}, and a run could only read it in clear. "
            "Copy the stored document as it is, and upload it as a new version of this state.",
        )
    return _Source(as_written or state, name)


def _refuse_another_workspace(
    context: RunContext, checkout: Checkout, verdict: Verdict, name: str
) -> None:
    """Ask first when the sources use terraform.workspace, which is another one after the import."""
    used = steps.cli_workspace_at(context, checkout, verdict)
    if name == DEFAULT or used is None:
        return
    if context.job.cli_workspace == name:
        context.warn(
            f'{used} uses terraform.workspace: it was "{shown(name)}" for this state, and is '
            '"default" from now on. Look at the next plan before you apply it.'
        )
        return
    raise TransferError(
        "workspace-differs",
        f'The state is that of the CLI workspace "{shown(name)}", and {used} uses '
        f'terraform.workspace, which is "default" here: the next plan could replace everything '
        "that is named after it. Put a variable in its place first. To import it nonetheless: "
        f"`stateroom runs queue -w {context.job.workspace} --operation import-state "
        f"--cli-workspace {shown(name)}`, or POST .../runs with "
        f'{{"operation": "import-state", "cli_workspace": "{shown(name)}"}}. Nothing was imported.',
    )


def _only(context: RunContext, held: Mapping[str, Pulled], where: str) -> tuple[str, Pulled]:
    chosen = context.job.cli_workspace
    if chosen is not None:
        if chosen in held:
            return chosen, held[chosen]
        named = ", ".join(map(shown, sorted(held))) or "none"
        raise TransferError(
            "nothing-to-import",
            f"There is no state of the CLI workspace {shown(chosen)} in {where}, or it is empty. "
            f"CLI workspaces that have one: {named}.",
        )
    if not held:
        raise TransferError("nothing-to-import", f"There is no state in {where}, or it is empty.")
    if len(held) > 1:
        names = ", ".join(map(shown, sorted(held)))
        raise TransferError(
            "state-workspaces",
            f"Several CLI workspaces in {where} have a state: {names}. Create a workspace here for "
            "each of them, and queue import-state there with its name: --cli-workspace NAME, or "
            "cli_workspace in the API.",
        )
    return next(iter(held.items()))


def _as_written(
    context: RunContext, checkout: Checkout, workspace: str, state: Pulled
) -> Pulled | None:
    """The file of a local backend, if it is in the checkout: tofu would print other bytes."""
    config = override.noted_backend(context.work.data).get("config") or {}
    path = os.path.normpath(checkout.folder / str(config.get("path") or STATE_FILE))
    if workspace != DEFAULT or not Path(path).is_relative_to(checkout.root):
        return None
    where = PurePosixPath(os.path.relpath(path, checkout.root))
    body = found.content(checkout.root, where, context.job.limits.state)
    written = None if body is None else pulled.parse(body)
    same = written is not None and (written.encrypted or written.is_same(state))
    return written if same else None


def _import(context: RunContext, state: Pulled) -> None:
    with context.step("import") as detail:
        taken = context.events.take_in(io.BytesIO(state.body))
        detail.update(taken)
        context.say(f"It is stored here as version {taken['version']}, byte for byte.")


def _look_again(context: RunContext, checkout: Checkout, verdict: Verdict, source: _Source) -> None:
    """Read again, because `state pull` takes no lock: import what was written in the meantime."""
    with context.step("verify"):
        name, state = source.workspace or DEFAULT, source.state
        for _ in range(_ATTEMPTS):
            now = _pulled_again(context, checkout, name)
            if now is None or now.version == state.version:
                return
            context.say(f"It has changed since: serial {now.serial} of lineage {now.lineage}.")
            if now.lineage != state.lineage or now.serial < state.serial:
                break
            context.events.take_in(io.BytesIO(now.body))
            state = now
        raise TransferError(
            "source-moved-on",
            f"The state in {verdict} changes while it is imported, and the copy here is older. "
            "Make sure that nobody writes it there, then queue import-state again.",
        )


def _pulled_again(context: RunContext, checkout: Checkout, workspace: str) -> Pulled | None:
    try:
        return own_backend.pull(context, checkout, workspace)
    except (ToolError, TransferError) as error:
        context.warn(f"The state was imported, but could not be read again: {error.message}")
        return None


def _say_what_is_left(context: RunContext, verdict: Verdict) -> None:
    if verdict.kind == "none":
        context.warn(f"The state is here now: delete {STATE_FILE} from the repository.")
        return
    how = "" if context.job.backend_mode == "override" else " set the backend mode to override, or"
    context.warn(
        f"The state is here now, but {verdict.where} still configures {verdict}:{how} remove the "
        "block from the sources. Nobody may write the state there any more."
    )
