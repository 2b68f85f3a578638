"""Refuse runs that would begin a second state (a fork) for the same resources.

If the state is here and the sources configure another backend, a plan would create everything
again, with its state there. The same happens if the sources drop a backend that was in use.
"""

from __future__ import annotations

from runner.detection.detect import Verdict
from runner.errors import DetectionError
from runner.job import Job


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
