"""The two ends of the time between a plan and its apply: keep what is needed, and take it again."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath

from runner.detection.detect import Verdict
from runner.detection.override import Override
from runner.errors import PlanStale
from runner.events import KeptPlan
from runner.processes import found
from runner.recipes import plan_bundle, steps
from runner.recipes.context import RunContext
from runner.recipes.plan_bundle import Listing
from runner.sources.source import Checkout

LOCK_FILE = ".terraform.lock.hcl"
_LARGEST_LOCK = 16 << 20  # bytes


def keep(context: RunContext, checkout: Checkout, before: Listing, *, is_ours: bool) -> None:
    """Hand over the plan, with every file that was written since the checkout was listed."""
    with context.step("keep") as detail:
        plan = KeptPlan(
            commit=checkout.commit,
            tool=context.tool.name,
            tool_version=str(context.tool.release),
            lock_sha256=_lock_sha256(context, checkout),
            is_ours=is_ours,
        )
        left_out: tuple[str, ...] = ()

        def pack(to: plan_bundle.Writer) -> None:
            nonlocal left_out
            limit = context.job.limits.plan
            left_out = plan_bundle.pack(context.work, before, to, limit)

        context.events.keep_plan(plan, pack)
        context.warn(*(_not_kept(path) for path in left_out))
        detail["left_out"] = list(left_out)
        context.say("The plan is kept until somebody approves or discards it.")


def prepare(
    context: RunContext, checkout: Checkout, verdict: Verdict, injected: Override | None
) -> None:
    """Put back what planning left, and initialise. Raises PlanStale when it cannot be as it was."""
    job = context.job
    assert job.approved is not None, "the recipe asks before"  # noqa: S101
    with context.step("restore"):
        plan_bundle.unpack(context.work, context.events.kept_plan())
        for folder in (context.work.plan, context.work.checkout, context.work.data):
            context.room.hand_over(folder)
    steps.init(context, checkout, verdict, injected)
    if _lock_sha256(context, checkout) != job.approved.lock_sha256:
        raise PlanStale(
            "lock-file-changed",
            f"init has changed {LOCK_FILE} since the plan was made, so the providers may be others "
            "than those that planned. Nothing was applied.",
        )


def _lock_sha256(context: RunContext, checkout: Checkout) -> str | None:
    folder = checkout.folder.relative_to(context.work.root)
    path = PurePosixPath(folder, LOCK_FILE)
    content = found.content(context.work.root, path, _LARGEST_LOCK)
    return None if content is None else hashlib.sha256(content).hexdigest()


def _not_kept(path: str) -> str:
    return (
        f"The file {path}, which planning wrote, cannot be kept with the plan: it is no regular "
        "file, or a link out of the checkout. The apply will miss it."
    )
