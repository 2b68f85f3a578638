"""The first steps of every run: clone, detect, override, init."""

from __future__ import annotations

from dataclasses import replace

from runner.detection import cli_workspace, detect, identity, override
from runner.detection.detect import Surroundings, Verdict
from runner.detection.override import Override
from runner.errors import DetectionError, PlanStale, SourceError, ToolError
from runner.job import HARMLESS, BackendMode, Job
from runner.recipes import choosing, forks, providers
from runner.recipes.context import RunContext
from runner.sources import modules, named_files, source
from runner.sources.source import Checkout
from runner.tools import backend_config, commands


def clone(context: RunContext) -> Checkout:
    """Check out the sources. Raises SourceError, and PlanStale if a planned commit is gone."""
    with context.step("clone") as detail:
        try:
            checkout = _clone(context)
        except SourceError as error:
            if context.job.approved is None or error.code != "ref-not-found":
                raise
            raise PlanStale(
                "commit-gone",
                f"The commit {context.job.approved.commit}, which the plan was made of, is no "
                "longer in the repository. Nothing was applied.",
            ) from None
        context.room.hand_over(context.work.checkout)
        context.say(f"{context.job.source.url} at {checkout.commit}")
        ran = {"repository": context.job.source.url, "path": context.job.source.path}
        context.events.noted({"commit": checkout.commit, "ref_rule": checkout.ref_rule, **ran})
        context.warn(*checkout.warnings)
        if checkout.host_keys:
            context.say("New host keys were accepted. They are pinned from now on.")
            context.events.host_keys(checkout.host_keys)
        detail |= {"commit": checkout.commit, "ref": checkout.ref, "subject": checkout.subject}
        context.variable_files = named_files.find(
            checkout, context.job.variable_files, "variable file", context.room
        )
        context.backend_config_files = named_files.find(
            checkout, context.job.backend_config_files, "backend config file", context.room
        )
    return checkout


def _clone(context: RunContext) -> Checkout:
    return source.clone(
        replace(
            context.job.source,
            ancestor=_applied_here(context.job),
            git_credentials=context.job.git_credentials,
        ),
        context.work.checkout / "source",
        work=context.work.root,
        deadline=context.time_for("clone"),
        stop=context.events.stop,
    )


def find_backend(context: RunContext, checkout: Checkout) -> Verdict:
    with context.step("detect") as detail:
        choosing.by_the_sources(context, checkout)
        around = Surroundings(checkout.root, context.job.ignored_wrappers)
        verdict = detect.inspect(checkout.folder, context.job.tool, context.tool.version, around)
        detail |= {
            "verdict": str(verdict),
            "file": verdict.file,
            "line": verdict.line,
            "why": verdict.why,
        }
        context.say(f"{verdict}: {verdict.why}" if verdict.why else str(verdict))
        context.events.noted({"detection": dict(detail)})
    return verdict


def choose_backend(context: RunContext, checkout: Checkout, verdict: Verdict) -> Override | None:
    """Inject our backend or keep the sources', by the template's mode. Refuses a second state."""
    with context.step("override") as detail:
        planned = _planned(context, checkout, verdict, context.job.backend_mode)
        forks.refuse(context.job, verdict, injected=planned is not None)
        if planned is not None:
            forks.refuse_to_begin(context.job, verdict, checkout)
        if planned is None:
            _refuse_to_lose_the_state(context.job, verdict)
            context.use_own_backend()
            context.warn(*verdict.warnings)
            context.say(
                f"The sources configure their own backend ({verdict}): nothing is injected."
            )
            detail.update(inject=False, override_file=None, override=None)
        else:
            if context.job.own_backend is not None:
                context.events.uses_backend(None)
            detail.update(_inject(context, checkout, verdict, planned))
        found = {"verdict": str(verdict), "file": verdict.file, "line": verdict.line}
        context.events.noted({"detection": {**found, "why": verdict.why, **detail}})
    return planned


def inject_ours(context: RunContext, checkout: Checkout, verdict: Verdict) -> Override:
    """Inject our backend in every mode, whatever the sources configure."""
    with context.step("override") as detail:
        planned = _planned(context, checkout, verdict, "override")
        assert planned is not None, "the mode override always injects"  # noqa: S101
        detail.update(_inject(context, checkout, verdict, planned))
    return planned


def init(
    context: RunContext, checkout: Checkout, verdict: Verdict, injected: Override | None
) -> None:
    with context.step("init"):
        prepare(context, checkout, verdict, injected)
        used = cli_workspace_at(context, checkout, verdict)
        if used is not None and (injected is not None or verdict.kind != "cloud"):
            context.warn(cli_workspace.warning(used))


def cli_workspace_at(context: RunContext, checkout: Checkout, verdict: Verdict) -> str | None:
    """Where the sources, or the modules that init has fetched, use terraform.workspace."""
    return verdict.workspace_at or cli_workspace.first_use_in_modules(
        context.work.data, checkout.folder, context.job.tool, context.tool.version
    )


def prepare(
    context: RunContext, checkout: Checkout, verdict: Verdict, injected: Override | None
) -> None:
    """Initialise the folder with the tool, and check that it uses the intended backend."""
    job = context.job
    try:
        command = _init_command(context, verdict, injected)
        if job.approved is not None:
            command = commands.as_locked(command, context.tool)
        _init(context, checkout, command)
    except ToolError as error:
        files = named_files.outside(checkout, job.backend_config_files)
        given = backend_config.names(job) | backend_config.names_in(files)
        absent = backend_config.missing(verdict, given, context.environment)
        if injected is not None or not absent:
            raise
        said = backend_config.explanation(verdict, absent, job, error.message)
        raise DetectionError("backend-partial", said) from None
    if injected is None:
        override.check_own_backend(context.work.data, verdict)
        if found := identity.of(override.noted_backend(context.work.data), context.environment):
            context.events.uses_backend(context.without_secrets(found))
    else:
        override.check_initialised(context.work.data, job.backend)


def _init_command(
    context: RunContext, verdict: Verdict, injected: Override | None
) -> commands.Command:
    given, files = context.job.variables, context.variable_files
    if injected is not None:
        return commands.init(context.tool, given, files=files)
    if verdict.kind == "cloud":  # for which the tools refuse -backend-config
        return commands.init_cloud(context.tool, given, files)
    configs = [*context.backend_config_files]
    file = backend_config.write(context.work.home, given)
    if file is not None:
        context.room.hand_over(file)
        configs.append(context.room.inside(file))
    return commands.init(context.tool, given, configs, files)


def _init(context: RunContext, checkout: Checkout, command: commands.Command) -> None:
    job = context.job
    with modules.access(job, context.work.root, context.room) as access:
        try:
            given = context.room.seen_in(access.environment)
            providers.initialise(
                context,
                checkout.folder,
                lambda more: context.run(command, checkout.folder, {**given, **more}),
            )
        except ToolError as error:
            raise modules.explain(
                error, job, access, context.work.root, context.events.stop
            ) from None


def _applied_here(job: Job) -> str | None:
    """The commit of the last apply, if it was of this repository."""
    last = job.last_apply
    if last is None or last.repository not in (None, job.source.url):
        return None
    return last.commit


def _planned(
    context: RunContext, checkout: Checkout, verdict: Verdict, mode: BackendMode
) -> Override | None:
    job = context.job
    return override.plan_override(
        checkout.folder,
        job.tool,
        context.tool.version,
        verdict,
        mode,
        job.backend,
        job.override_file,
    )


def _inject(
    context: RunContext, checkout: Checkout, verdict: Verdict, planned: Override
) -> dict[str, object]:
    override.write(checkout.folder, planned)
    context.room.hand_over(checkout.folder / planned.file_name)
    context.use_our_backend(verdict)
    context.say(f"{planned.file_name}:\n{planned.text.rstrip()}")
    context.warn(*planned.warnings)
    return {"inject": True, "override_file": planned.file_name, "override": planned.text}


def _refuse_to_lose_the_state(job: Job, verdict: Verdict) -> None:
    """Refuse a local state, which would be removed with the run's folder."""
    local = verdict.kind == "none" or (verdict.kind, verdict.type) == ("backend", "local")
    if local and job.operation not in HARMLESS:
        raise DetectionError(
            "state-would-be-lost",
            f"With backend mode {job.backend_mode} and the detected backend {verdict} the state "
            "would be a file in the run's folder, and be lost with it. Use backend mode "
            + ("auto or override." if verdict.kind == "none" else "override."),
        )
