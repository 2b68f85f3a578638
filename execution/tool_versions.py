"""The versions of tools that templates ask for, and those that a worker has."""

from __future__ import annotations

from backend.config import Settings
from backend.errors import Invalid
from backend.runs.tool_needs import Need
from runner.errors import ToolError
from runner.tools import constraints
from runner.tools import tool as tools

_ABSENT = ("tool-not-installed", "tool-version-not-installed")


def check(version: str) -> None:
    """Raise Invalid for a text that asks for no version."""
    if version == constraints.AUTO:
        return
    try:
        constraints.wanted(version)
    except constraints.WrongVersion as error:
        raise Invalid(str(error), code="tool-version-invalid", field="tool_version") from None


def fits(asked: str, version: str) -> bool:
    """Whether a version is what a template asks for. One that cannot be read fits everything."""
    release = constraints.release(version)
    try:
        return release is None or constraints.wanted(asked).fits(release)
    except constraints.WrongVersion:
        return True  # its run will say what is wrong


def installed(settings: Settings) -> list[dict[str, str]]:
    """The tools of this machine."""
    return [
        {"name": one.name, "version": str(one.release), "origin": one.origin}
        for one in tools.available(settings.tools_path)
    ]


def lacks(settings: Settings, need: Need) -> bool:
    """Whether no tool on this machine is what a run needs. With `auto` only the run finds out."""
    if settings.tools_install:
        return False
    version = None if need.version == constraints.AUTO else need.version
    try:
        tools.find(need.tool, version, settings.tools_path)  # type: ignore[arg-type]  # as stored
    except ToolError as error:
        return error.code in _ABSENT
    return False
