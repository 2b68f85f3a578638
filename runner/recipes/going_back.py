"""Refuse to apply sources that do not contain what was applied last.

An older commit, a branch that lacks what another one brought, another repository or another folder:
a plan of these takes back what the last apply made. A person has to want that.
"""

from __future__ import annotations

from typing import Literal

from runner.errors import SourceError
from runner.job import REFRESHING
from runner.recipes.context import RunContext
from runner.sources.source import Checkout

Reason = Literal["commit", "repository", "path"]


def mark(context: RunContext, checkout: Checkout, *, injected: bool) -> Reason | None:
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
    facts = {"reason": reason, "run": last.run_id, "commit": last.commit, "message": message}
    context.events.noted({"goes_back": facts})
    context.warn(message)
    return reason


def refuse(context: RunContext, reason: Reason | None) -> None:
    """Raise SourceError `goes-back` for an apply that goes back, unless that was asked for.

    A destroy takes everything back anyway.
    """
    if reason is None or context.job.allow_older or context.job.operation != "apply":
        return
    what = {
        "commit": "This commit does not contain the commit of the last apply, as far as can be "
        "known",
        "repository": "The repository is another one than that of the last apply",
        "path": "The folder is another one than that of the last apply",
    }
    raise SourceError(
        "goes-back",
        f"{what[reason]}: the plan may take back what was made since. Nothing was applied. Read "
        "the plan; if it is what you want, queue the run again with allow_older.",
    )


def _short(commit: str) -> str:
    return commit[:12]
