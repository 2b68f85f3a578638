"""Choose the tool of a run: before the clone, or after it where the sources say which version.

Where workers install tools, the newest release that fits is installed when nothing there fits.
"""

from __future__ import annotations

from runner.detection.required_version import Requirement, required
from runner.errors import ToolError
from runner.events import Events
from runner.job import Job
from runner.recipes.context import RunContext
from runner.sources.source import Checkout
from runner.tools import constraints, install, releases
from runner.tools import tool as tools
from runner.tools.constraints import Wanted, WrongVersion
from runner.tools.tool import Tool

_ABSENT = ("tool-not-installed", "tool-version-not-installed")


def before_the_clone(job: Job, events: Events) -> Tool | None:
    """The tool of the job; None if its version is `auto`.

    Raises ToolError as `tools.find` and `install.install`, and Stopped.
    """
    if job.tool_version == constraints.AUTO:
        return None
    return _found(job, events, tools.wanted(job.tool_version) if job.tool_version else None)


def by_the_sources(context: RunContext, checkout: Checkout) -> None:
    """Choose the newest tool that the sources accept, unless the run has one already.

    Raises ToolError that names the places, DetectionError as `required`, and Stopped.
    """
    if context.has_tool:
        return
    job = context.job
    found = _readable(context, required(checkout.folder, job.tool))
    if not found:
        context.say(f"The sources ask for no version of {job.tool}.")
        context.use(_found(job, context.events, None))
        return
    asked = constraints.all_of([text for _, text in found])
    context.say("\n".join(f"{one.where} asks for {job.tool} {text}" for one, text in found))
    context.use(_fitting(context, asked, [one for one, _ in found]))


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


def _fitting(context: RunContext, asked: Wanted, places: list[Requirement]) -> Tool:
    try:
        return _found(context.job, context.events, asked)
    except ToolError as error:
        if error.code not in (*_ABSENT, "tool-not-published"):
            raise
        where = " and ".join(dict.fromkeys(one.where for one in places))
        raise ToolError(error.code, f"{where}: {error.message}") from None


def _found(job: Job, events: Events, asked: Wanted | None) -> Tool:
    """The tool on this machine that fits, or else the one that is installed now."""
    try:
        return tools.find_fitting(job.tool, asked, job.tools_dir)
    except ToolError as error:
        if error.code not in _ABSENT or job.installs is None or job.tools_dir is None:
            raise
        events.output(f"{error.message}\nInstalling it …\n".encode())
    shop = releases.shop(job.tool, job.installs.mirror, job.installs.key)
    wanted = asked or Wanted(constraints.LATEST)
    program, _ = install.install(shop, wanted, job.tools_dir, events.stop)
    events.output(f"{program.parent.name} is installed: its publisher has signed it.\n".encode())
    return tools.find_fitting(job.tool, asked, job.tools_dir)
