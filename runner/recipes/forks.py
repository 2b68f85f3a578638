"""Refuse runs that would begin a second state (a fork) for the same resources.

If the state is here and the sources configure another backend, a plan would create everything
again, with its state there. The same happens if the sources drop a backend that was in use, if our
backend replaces one that has a state, and if the state is a file in the repository.
"""

from __future__ import annotations

from runner.detection.config_files import shown
from runner.detection.detect import Verdict
from runner.errors import DetectionError
from runner.job import Job
from runner.recipes import committed
from runner.sources.source import Checkout


def refuse(job: Job, verdict: Verdict, *, injected: bool) -> None:
    """Stop the run before anything is planned with the wrong state.

    Raises DetectionError with `state-would-fork`, `state-elsewhere` or `state-archived`.
    """
    if injected and job.standing == "archived":
        raise DetectionError("state-archived", _archived(verdict))
    if injected and job.standing == "unwritten" and job.elsewhere and not job.start_empty:
        raise DetectionError("state-elsewhere", _elsewhere(job.elsewhere, verdict))
    if not injected and verdict.explicit and job.standing == "in use":
        raise DetectionError("state-would-fork", _would_fork(job, verdict))


def refuse_to_begin(job: Job, verdict: Verdict, checkout: Checkout) -> None:
    """Stop a run that would begin with our empty state while there may be another one.

    Raises DetectionError with `committed-state` or `import-needed`.
    """
    if job.standing != "unwritten" or job.start_empty:
        return
    if file := committed.holding(checkout, verdict, job.limits.state):
        raise DetectionError("committed-state", _committed(job, shown(file)))
    path = committed.local_path(verdict)
    elsewhere = path is None or committed.leaves(checkout, path)
    if verdict.explicit and elsewhere:  # a local one in the repository was looked for above
        raise DetectionError("import-needed", _import_needed(job, verdict))


def _committed(job: Job, file: str) -> str:
    return (
        f"The repository has a state with resources, {file}, and the state here was never written: "
        f"a plan would create everything again. {_import_first(job)} If that file is not the state "
        f"of this workspace, {_start_empty(job)} Nothing was planned."
    )


def _import_needed(job: Job, verdict: Verdict) -> str:
    return (
        f"{verdict.where} configures {verdict}, which may have the state of these resources, and "
        "the state here was never written: with our backend in its place a plan would create "
        f"everything again. {_import_first(job)} If there is no state, {_start_empty(job)} Nothing "
        "was planned."
    )


def _import_first(job: Job) -> str:
    return (
        f"Import it first: `stateroom runs queue -w {job.workspace} --operation import-state`, or "
        'POST .../runs with {"operation": "import-state"}.'
    )


def _start_empty(job: Job) -> str:
    return (
        f"say so: `stateroom workspaces set {job.workspace} --start-empty`, or PATCH "
        f'.../workspaces/{job.workspace} with {{"start_empty": true}}.'
    )


def _would_fork(job: Job, verdict: Verdict) -> str:
    return (
        f"{verdict.where} configures {verdict}, but this workspace has its state here: with "
        f"backend mode {job.backend_mode} the run would begin a second state there. Queue "
        "export-state to move the state there, or set the template's backend mode to override to "
        "keep it here. Nothing was planned."
    )


def _elsewhere(before: str, verdict: Verdict) -> str:
    now = (
        f"{verdict.where} configures {verdict}"
        if verdict.explicit
        else "the sources configure no backend"
    )
    return (
        f"The runs of this workspace kept their state in {before}; now {now}, and the state here "
        "was never written: a plan would create everything again. Queue import-state with a ref "
        "that still has that backend. If you want to begin with an empty state, queue the run with "
        "start_empty. Nothing was planned."
    )


def _archived(verdict: Verdict) -> str:
    now = (
        f"{verdict} would be replaced by ours" if verdict.explicit else "the sources configure none"
    )
    return (
        f"The state of this workspace was moved to another backend, and now {now}. Add that "
        "backend to the sources again, or unarchive the state to use it here again. Nothing was "
        "planned."
    )
