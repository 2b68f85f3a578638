"""Keeps a workspace from having two states: one here, and one where the sources say.

With one state here and another backend in the sources, a plan would want to create everything
again, in the other place. So it would when the sources forget a backend that was in use.
"""

from __future__ import annotations

from runner.detection.detect import Verdict
from runner.errors import DetectionError
from runner.job import Job


def refuse(job: Job, verdict: Verdict, *, injected: bool) -> None:
    """Stop before anything is planned against the wrong state.

    Raises DetectionError `state-would-fork`, `state-elsewhere` or `state-archived`.
    """
    if injected and job.standing == "archived":
        raise DetectionError("state-archived", _archived(verdict))
    if injected and job.standing == "unwritten" and job.elsewhere and not job.start_empty:
        raise DetectionError("state-elsewhere", _elsewhere(job.elsewhere, verdict))
    if not injected and verdict.explicit and job.standing == "in use":
        raise DetectionError("state-would-fork", _would_fork(job, verdict))


def _would_fork(job: Job, verdict: Verdict) -> str:
    return (
        f"{verdict.where} says {verdict}, and this workspace has its state here: with the mode "
        f"{job.backend_mode} the run would begin a second one there. Queue the operation "
        "export-state to move it there, or set the template's backend mode to override to keep it "
        "here. Nothing was planned."
    )


def _elsewhere(before: str, verdict: Verdict) -> str:
    now = f"{verdict.where} says {verdict}" if verdict.explicit else "the sources name no backend"
    return (
        f"The runs of this workspace kept their state in {before}; now {now}, and the state here "
        "was never written: a plan would want to create everything again. Queue the operation "
        "import-state with a ref that still has that backend. To begin with nothing, on purpose, "
        "queue the run with start_empty. Nothing was planned."
    )


def _archived(verdict: Verdict) -> str:
    now = f"{verdict} is to be replaced by ours" if verdict.explicit else "the sources name none"
    return (
        f"The state of this workspace was moved to another backend, and now {now}. Bring the "
        "backend back into the sources, or un-archive the state to go on with it here. Nothing was "
        "planned."
    )
