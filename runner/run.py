"""The recipe of a run, step by step: clone, detect, override, init, plan, apply, collect."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from . import commands, detect, found, override, source, ssh, variables, workdir
from .detect import Verdict
from .environment import http_credential
from .errors import DetectionError, ToolError
from .events import Events, Outcome
from .job import Job
from .line import Line
from .override import Override
from .repository import module_environment
from .source import Checkout
from .ssh import Agent
from .workdir import WorkDir

UNWRITTEN = "errored.tfstate"
NO_CHANGES, CHANGES = 0, 2  # of plan -detailed-exitcode


def execute(job: Job, events: Events) -> Outcome:
    """Run a job to its end, in a folder of its own that is gone afterwards.

    Raises RunnerError with a stable code: SourceError, DetectionError, ToolError, Stopped, Fenced.
    """
    with workdir.create(job.work_root, job.run_id, job.epoch) as work:
        line = Line(job, events, work)
        line.begin()
        checkout = _clone(line)
        verdict = _detect(line, checkout)
        injected = _override(line, checkout, verdict)
        _init(line, checkout, verdict, injected)
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


def _clone(line: Line) -> Checkout:
    with line.step("clone") as detail:
        checkout = source.clone(
            line.job.source,
            line.work.checkout / "source",
            work=line.work.root,
            deadline=line.job.limits.clone,
            stop=line.events.stop,
        )
        line.say(f"{line.job.source.url} at {checkout.commit}")
        line.events.noted({"commit": checkout.commit})
        line.warn(*checkout.warnings)
        if checkout.host_keys:
            line.say("New host keys were accepted, and are pinned from now on.")
            line.events.host_keys(checkout.host_keys)
        detail |= {"commit": checkout.commit, "ref": checkout.ref, "subject": checkout.subject}
    return checkout


def _detect(line: Line, checkout: Checkout) -> Verdict:
    with line.step("detect") as detail:
        verdict = detect.inspect(checkout.folder, line.job.tool, line.tool.version)
        detail |= {
            "verdict": str(verdict),
            "file": verdict.file,
            "line": verdict.line,
            "why": verdict.why,
        }
        line.say(f"{verdict}: {verdict.why}" if verdict.why else str(verdict))
        line.events.noted({"detection": dict(detail)})
    return verdict


def _override(line: Line, checkout: Checkout, verdict: Verdict) -> Override | None:
    job = line.job
    with line.step("override") as detail:
        planned = override.plan_override(
            checkout.folder, job.tool, line.tool.version, verdict,
            job.backend_mode, job.backend, job.override_file,
        )  # fmt: skip
        if planned is None:
            _refuse_to_lose_the_state(job, verdict)
            line.warn(*verdict.warnings)
            line.say(f"The sources keep their state themselves ({verdict}): nothing is injected.")
            detail |= {"inject": False, "override_file": None, "override": None}
        else:
            override.write(checkout.folder, planned)
            line.environment.update(http_credential(job.backend))
            line.say(f"{planned.file_name}:\n{planned.text.rstrip()}")
            line.warn(*planned.warnings)
            detail |= {
                "inject": True,
                "override_file": planned.file_name,
                "override": planned.text,
            }
        found = {"verdict": str(verdict), "file": verdict.file, "line": verdict.line}
        line.events.noted({"detection": {**found, "why": verdict.why, **detail}})
    return planned


def _refuse_to_lose_the_state(job: Job, verdict: Verdict) -> None:
    """A local state would be gone with the run's folder."""
    local = verdict.kind == "none" or (verdict.kind, verdict.type) == ("backend", "local")
    if local and job.operation != "plan":
        raise DetectionError(
            "state-would-be-lost",
            f"With the mode {job.backend_mode} and the verdict {verdict} the state would be "
            "a file in the run's folder, and be lost with it. Use the mode "
            + ("auto or override." if verdict.kind == "none" else "override."),
        )


def _init(line: Line, checkout: Checkout, verdict: Verdict, injected: Override | None) -> None:
    job = line.job
    init = commands.init_cloud if not injected and verdict.kind == "cloud" else commands.init
    with line.step("init"), _modules_agent(line) as agent:
        line.run(
            init(line.tool, job.variables),
            checkout.folder,
            {**module_environment(job.source.policy), **(agent.environment if agent else {})},
            writable=(agent.folder,) if agent else (),
        )
        if injected is None:
            override.check_own_backend(line.work.data, verdict)
        else:
            override.check_initialised(line.work.data, job.backend)


def _modules_agent(line: Line) -> AbstractContextManager[Agent | None]:
    """The strict ssh of private modules; without a key, one that offers none."""
    job = line.job
    keys = () if job.module_key is None else (job.module_key,)
    if not keys and not ssh.installed():
        return nullcontext()
    return ssh.agent(*keys, work=line.work.root, known_hosts=job.source.known_hosts)


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
        outputs = _parsed(line.ask(commands.output(line.tool), checkout.folder))
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
