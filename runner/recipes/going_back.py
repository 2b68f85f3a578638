"""Mark runs whose sources do not contain what was applied last.

An older commit, a branch that lacks what another one brought, another repository or another folder:
a plan of these takes back what the last apply made. So a person has to approve it.
"""

from __future__ import annotations

from typing import Any, Literal

from runner.job import REFRESHING
from runner.plans.plan_read import PlanRead
from runner.recipes.context import RunContext
from runner.sources.source import Checkout

Reason = Literal["commit", "repository", "path"]
Facts = dict[str, Any]
_NAMED, _MOST = 10, 1000  # addresses in a sentence, and in all


def mark(context: RunContext, checkout: Checkout, *, injected: bool) -> Facts | None:
    """Note on the run that it goes back, and why, with a warning. It never raises."""
    job, last = context.job, context.job.last_apply
    if job.operation in REFRESHING:
        return None
    if last is None or (injected and job.standing in ("unwritten", "empty")):
        return None
    here = f"{_short(checkout.commit)} of {job.source.url}, folder {job.source.path}"
    reason: Reason
    if last.repository is not None and last.repository != job.source.url:
        reason, before = "repository", f"was of the repository {last.repository}"
    elif last.path is not None and last.path != job.source.path:
        reason, before = "path", f"was of the folder {last.path}"
    elif not checkout.has_ancestor:
        reason, before = "commit", f"was of {_short(last.commit)}, which this commit lacks"
    else:
        return None
    message = (
        f"This run goes back: its sources are {here}. The last apply (run {last.run_id}) {before}. "
        "What that apply and later commits made may be changed back or destroyed."
    )
    facts: Facts = {"reason": reason, "run": last.run_id, "commit": last.commit, "message": message}
    context.events.noted({"goes_back": facts})
    context.warn(message)
    return facts


def name_deletions(context: RunContext, goes_back: Facts | None, plan: PlanRead) -> None:
    """Note what a plan that goes back would delete."""
    deletes = plan.deletions()
    if goes_back is None or not deletes:
        return
    named = ", ".join(deletes[:_NAMED]) + (", …" if len(deletes) > _NAMED else "")
    message = f"{goes_back['message']} Its plan deletes {named}."
    facts = goes_back | {"message": message, "deletes": list(deletes[:_MOST])}
    context.events.noted({"goes_back": facts})
    context.warn(f"This plan deletes {len(deletes)} of what exists: {named}.")


def _short(commit: str) -> str:
    return commit[:12]
