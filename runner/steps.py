"""The steps that every run begins with: clone, detect, override, init."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from . import commands, detect, forks, override, source, ssh
from .detect import Verdict
from .errors import DetectionError
from .job import BackendMode, Job
from .line import Line
from .override import Override
from .repository import module_environment
from .source import Checkout
from .ssh import Agent


def clone(line: Line) -> Checkout:
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


def find_backend(line: Line, checkout: Checkout) -> Verdict:
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


def choose_backend(line: Line, checkout: Checkout, verdict: Verdict) -> Override | None:
    """Inject ours or leave theirs, as the template's mode says; never a second state beside one."""
    with line.step("override") as detail:
        planned = _planned(line, checkout, verdict, line.job.backend_mode)
        forks.refuse(line.job, verdict, injected=planned is not None)
        if planned is None:
            _refuse_to_lose_the_state(line.job, verdict)
            line.use_own_backend()
            line.warn(*verdict.warnings)
            line.say(f"The sources keep their state themselves ({verdict}): nothing is injected.")
            detail.update(inject=False, override_file=None, override=None)
        else:
            detail.update(_inject(line, checkout, planned))
        found = {"verdict": str(verdict), "file": verdict.file, "line": verdict.line}
        line.events.noted({"detection": {**found, "why": verdict.why, **detail}})
    return planned


def inject_ours(line: Line, checkout: Checkout, verdict: Verdict) -> Override:
    """Inject ours over whatever the sources say, in every mode."""
    with line.step("override") as detail:
        planned = _planned(line, checkout, verdict, "override")
        assert planned is not None, "the mode override always injects"  # noqa: S101
        detail.update(_inject(line, checkout, planned))
    return planned


def init(line: Line, checkout: Checkout, verdict: Verdict, injected: Override | None) -> None:
    with line.step("init"):
        prepare(line, checkout, verdict, injected)


def prepare(line: Line, checkout: Checkout, verdict: Verdict, injected: Override | None) -> None:
    """Let the tool initialise the folder, and see that it uses the backend that it should."""
    job = line.job
    command = commands.init_cloud if not injected and verdict.kind == "cloud" else commands.init
    with _modules_agent(line) as agent:
        line.run(
            command(line.tool, job.variables),
            checkout.folder,
            {**module_environment(job.source.policy), **(agent.environment if agent else {})},
            writable=(agent.folder,) if agent else (),
        )
    if injected is None:
        override.check_own_backend(line.work.data, verdict)
    else:
        override.check_initialised(line.work.data, job.backend)


def _planned(
    line: Line, checkout: Checkout, verdict: Verdict, mode: BackendMode
) -> Override | None:
    job = line.job
    return override.plan_override(
        checkout.folder, job.tool, line.tool.version, verdict, mode, job.backend, job.override_file
    )


def _inject(line: Line, checkout: Checkout, planned: Override) -> dict[str, object]:
    override.write(checkout.folder, planned)
    line.use_our_backend()
    line.say(f"{planned.file_name}:\n{planned.text.rstrip()}")
    line.warn(*planned.warnings)
    return {"inject": True, "override_file": planned.file_name, "override": planned.text}


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


def _modules_agent(line: Line) -> AbstractContextManager[Agent | None]:
    """The strict ssh of private modules; without a key, one that offers none."""
    job = line.job
    keys = () if job.module_key is None else (job.module_key,)
    if not keys and not ssh.installed():
        return nullcontext()
    return ssh.agent(*keys, work=line.work.root, known_hosts=job.source.known_hosts)
