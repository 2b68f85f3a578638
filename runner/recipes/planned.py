"""Read a saved plan: what it would do is taken from the tool's JSON, and never from its text."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile

from runner.plans import reading
from runner.plans.plan_read import PlanRead
from runner.plans.secrets import SHORTEST_MARKED
from runner.recipes.context import RunContext
from runner.sources.source import Checkout
from runner.tools import commands

MOST_SECRETS, LONGEST_SECRET = 1000, 64 * 1024  # of the plan, masked in the log
MOST_BYTES = 1 << 30  # of the JSON; 10,000 resources of a cloud are about 100 MiB


def read(
    context: RunContext, checkout: Checkout, plan_file: Path, *, has_changes: bool
) -> PlanRead:
    """What a plan would do. `has_changes` is what its exit code said.

    The JSON is in a file without a name in the run's folder, for as long as the plan is in use.
    Raises ToolError, with `output-too-large` for more than MOST_BYTES, and Stopped.
    """
    job = context.job
    command = commands.show(context.tool, plan_file, job.variables, context.variable_files)
    with TemporaryFile(dir=context.work.root) as file:
        context.ask(command, checkout.folder, limit=MOST_BYTES, into=file)
        plan = reading.read(
            file,
            has_changes=has_changes,
            secrets=job.secrets(),
            sensitive=[variable.name for variable in job.variables if variable.sensitive],
        )
    context.learn(islice(sorted(filter(_is_worth_masking, plan.sensitive)), MOST_SECRETS))
    return plan


def _is_worth_masking(text: str) -> bool:
    return SHORTEST_MARKED <= len(text) <= LONGEST_SECRET
