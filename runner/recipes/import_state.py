"""import-state: the state moves here from where the sources keep it, byte for byte."""

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
from runner.recipes import own_backend, pulled, steps
from runner.recipes.context import RunContext
from runner.recipes.own_backend import DEFAULT, STATE_FILE
from runner.recipes.pulled import Pulled
from runner.sources import checkout as sources
from runner.sources.source import Checkout
from runner.tools import encryption

_ATTEMPTS = 3  # to read a source that is written meanwhile


@dataclass(frozen=True)
class _Source:
    """Where a state was read: in this CLI workspace, or in a file of the repository."""

    state: Pulled
    workspace: str | None


def bring_in(context: RunContext, checkout: Checkout, verdict: Verdict) -> Outcome:
    """import-state: read the state where the sources keep it, and make it ours byte for byte.

    Raises TransferError: nothing is there, more than one CLI workspace holds a state, OpenTofu
    encrypts it, or ours is locked, newer or another one. Then nothing has changed.
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
    """What no run could work with: two backends, nothing to run, what cannot be read."""
    with context.step("check"):
        job = context.job
        override.plan_override(
            checkout.folder, job.tool, context.tool.version, verdict, "auto", job.backend, None
        )
        if job.standing == "archived":
            raise TransferError(
                "state-archived", "The state here is archived: un-archive it first."
            )


def _init_theirs(context: RunContext, checkout: Checkout, verdict: Verdict) -> None:
    context.use_own_backend()
    steps.init(context, checkout, verdict, None)
    if verdict.type == "local":
        sources.put_back(checkout.root, checkout.folder)


def _read_source(context: RunContext, checkout: Checkout, verdict: Verdict) -> _Source:
    with context.step("pull") as detail:
        if verdict.kind == "none":
            source = _Source(_committed(context, checkout), None)
        else:
            source = _the_only_one(context, checkout, verdict)
        state = source.state
        detail.update(state.described(), workspace=source.workspace, size=len(state.body))
        context.say(f"Found serial {state.serial} of lineage {state.lineage}.")
    return source


def _committed(context: RunContext, checkout: Checkout) -> Pulled:
    """The state that the repository has in it, where it names no backend."""
    aside = checkout.root / ".git" / sources.COMMITTED
    others = aside / f"{STATE_FILE}.d"
    files = {DEFAULT: PurePosixPath(STATE_FILE)}
    if others.is_dir():
        names = sorted(path.name for path in others.iterdir())
        files |= {name: PurePosixPath(others.name, name, STATE_FILE) for name in names}
    held: dict[str, Pulled] = {}
    for name, where in files.items():
        body = found.content(aside, where, context.job.limits.state)
        state = None if body is None else pulled.parse(body)
        if state is not None and state.holds_something:
            held[name] = state
    return _only(held, "the repository")[1]


def _the_only_one(context: RunContext, checkout: Checkout, verdict: Verdict) -> _Source:
    """The state of the only CLI workspace that holds one."""
    held: dict[str, Pulled] = {}
    for name in own_backend.workspaces(context, checkout):
        state = own_backend.pull(context, checkout, name)
        if state is not None and state.holds_something:
            held[name] = state
    name, state = _only(held, str(verdict))
    as_written = _as_written(context, checkout, name, state) if verdict.type == "local" else None
    if as_written is None and encryption.of_states(checkout.folder, context.tool, context.job):
        raise TransferError(
            "state-encrypted",
            f"OpenTofu encrypts the state in {verdict}, and shows it to a run in clear only. Copy "
            "the stored document as it is, and upload it as a new version of this state.",
        )
    return _Source(as_written or state, name)


def _only(held: Mapping[str, Pulled], where: str) -> tuple[str, Pulled]:
    if not held:
        raise TransferError(
            "nothing-to-import", f"There is no state in {where}, or it holds nothing."
        )
    if len(held) > 1:
        names = ", ".join(map(shown, sorted(held)))
        raise TransferError(
            "state-workspaces",
            f"More than one CLI workspace in {where} holds a state: {names}. Make a workspace here "
            "for each, and upload what `state pull` prints with that one selected.",
        )
    return next(iter(held.items()))


def _as_written(
    context: RunContext, checkout: Checkout, workspace: str, state: Pulled
) -> Pulled | None:
    """The file of a local backend, if it is in the checkout: tofu prints it in another form."""
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
        context.say(f"It is version {taken['version']} here, byte for byte.")


def _look_again(context: RunContext, checkout: Checkout, verdict: Verdict, source: _Source) -> None:
    """`state pull` takes no lock: bring in as well what was written there meanwhile."""
    with context.step("verify"):
        name, state = source.workspace or DEFAULT, source.state
        for _ in range(_ATTEMPTS):
            now = _pulled_again(context, checkout, name)
            if now is None or now.version == state.version:
                return
            context.say(f"It was written meanwhile: serial {now.serial} of lineage {now.lineage}.")
            if now.lineage != state.lineage or now.serial < state.serial:
                break
            context.events.take_in(io.BytesIO(now.body))
            state = now
        raise TransferError(
            "source-moved-on",
            f"The state in {verdict} changes while it is imported: what is here is older. Let "
            "nobody write it there, then queue import-state again.",
        )


def _pulled_again(context: RunContext, checkout: Checkout, workspace: str) -> Pulled | None:
    try:
        return own_backend.pull(context, checkout, workspace)
    except (ToolError, TransferError) as error:
        context.warn(f"It was imported, and could not be read there a second time: {error.message}")
        return None


def _say_what_is_left(context: RunContext, verdict: Verdict) -> None:
    if verdict.kind == "none":
        context.warn(f"The state is here now: delete {STATE_FILE} from the repository.")
        return
    how = "" if context.job.backend_mode == "override" else " set the backend mode to override, or"
    context.warn(
        f"The state is here now, and {verdict.where} still says {verdict}:{how} take the block out "
        "of the sources. Let nobody write the state there any more."
    )
