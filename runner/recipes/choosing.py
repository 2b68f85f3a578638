"""Choose the tool of a run: before the clone, or after it where the sources say which version."""

from __future__ import annotations

from runner.detection.required_version import Requirement, required
from runner.errors import ToolError
from runner.job import Job
from runner.recipes.context import RunContext
from runner.sources.source import Checkout
from runner.tools import constraints
from runner.tools import tool as tools
from runner.tools.constraints import Wanted, WrongVersion
from runner.tools.tool import Tool


def before_the_clone(job: Job) -> Tool | None:
    """The tool of the job; None if its version is `auto`. Raises ToolError as `tools.find`."""
    if job.tool_version == constraints.AUTO:
        return None
    return tools.find(job.tool, job.tool_version, job.tools_dir)


def by_the_sources(context: RunContext, checkout: Checkout) -> None:
    """Choose the newest tool that the sources accept, unless the run has one already.

    Raises ToolError that names the places, and DetectionError as `required`.
    """
    if context.has_tool:
        return
    job = context.job
    found = _readable(context, required(checkout.folder, job.tool))
    if not found:
        context.say(f"The sources ask for no version of {job.tool}.")
        context.use(tools.find(job.tool, None, job.tools_dir))
        return
    asked = constraints.all_of([text for _, text in found])
    context.say("\n".join(f"{one.where} asks for {job.tool} {text}" for one, text in found))
    context.use(_fitting(job, asked, [one for one, _ in found]))


def _readable(
    context: RunContext, requirements: list[Requirement]
) -> list[tuple[Requirement, str]]:
    """Those that can be read, with their text. Of the others the tool says what is wrong."""
    found = []
    for one in requirements:
        try:
            constraints.constraints(one.text or "")
        except WrongVersion:
            context.warn(f"{one.where}: the version that is asked for cannot be read.")
        else:
            found.append((one, one.text or ""))
    return found


def _fitting(job: Job, asked: Wanted, places: list[Requirement]) -> Tool:
    try:
        return tools.find_fitting(job.tool, asked, job.tools_dir)
    except ToolError as error:
        if error.code != "tool-version-not-installed":
            raise
        where = " and ".join(dict.fromkeys(one.where for one in places))
        raise ToolError(error.code, f"{where}: {error.message}") from None
