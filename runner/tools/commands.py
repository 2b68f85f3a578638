"""The commands of the tool that a run needs. Nothing secret is in their arguments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from runner.job import Operation, Variable
from runner.tools.tool import Tool
from runner.tools.variables import var_file

StepName = Literal["init", "plan", "apply", "output", "show", "pull", "push", "list"]

_QUIET = ("-input=false", "-no-color")


@dataclass(frozen=True)
class Command:
    """`stdin` holds the variables: hand it over with the rest."""

    step: StepName
    argv: tuple[str, ...]
    stdin: bytes | None = field(default=None, repr=False)


def init(tool: Tool, variables: Iterable[Variable]) -> Command:
    """Modules' sources and tofu's backends may contain variables, so init gets them too."""
    return _with_variables(tool, "init", (*_QUIET, "-reconfigure"), variables)


def init_cloud(tool: Tool, variables: Iterable[Variable]) -> Command:
    """For a `cloud` block that stays: both tools refuse -reconfigure there."""
    return _with_variables(tool, "init", _QUIET, variables)


def plan(
    tool: Tool, operation: Operation, plan_file: Path, variables: Iterable[Variable]
) -> Command:
    """Ends with 0 when nothing would change, with 2 when something would, with 1 on an error."""
    what = ("-destroy",) if operation == "destroy" else ()
    arguments = (*_QUIET, "-detailed-exitcode", f"-out={plan_file}", *what)
    return _with_variables(tool, "plan", arguments, variables)


def apply(tool: Tool, plan_file: Path, ephemeral: Iterable[Variable] = ()) -> Command:
    """Apply a saved plan. It holds the variables, but for the ephemeral ones."""
    return _with_variables(tool, "apply", _QUIET, ephemeral, str(plan_file))


def output(tool: Tool, variables: Iterable[Variable]) -> Command:
    return _in_own_backend(tool, "output", ("output", "-json"), variables)


def show(tool: Tool, plan_file: Path) -> Command:
    """A saved plan as JSON, its secrets in clear: for the runner's eyes."""
    return Command("show", (*tool.argv, "show", "-json", "-no-color", str(plan_file)))


def workspaces(tool: Tool, variables: Iterable[Variable]) -> Command:
    """The CLI workspaces that the backend has, the selected one marked by a star."""
    return _in_own_backend(tool, "list", ("workspace", "list"), variables)


def pull(tool: Tool, variables: Iterable[Variable]) -> Command:
    """The state as the backend has it, and a line end: for the runner's eyes."""
    return _in_own_backend(tool, "pull", ("state", "pull"), variables)


def push(tool: Tool, document: bytes) -> Command:
    """Write a state. It is refused where another lineage, or a newer serial, is."""
    return Command("push", (*tool.argv, "state", "push", "-no-color", "-"), document)


def push_over(tool: Tool, document: bytes) -> Command:
    """Write a state over whatever is there."""
    return Command("push", (*tool.argv, "state", "push", "-no-color", "-force", "-"), document)


def _in_own_backend(
    tool: Tool, step: StepName, what: tuple[str, ...], variables: Iterable[Variable]
) -> Command:
    """The backends and the encryption of tofu may contain variables; terraform takes none here."""
    content = var_file(variables) if knows_variables(tool) else None
    more = ("-var-file=/dev/stdin",) if content else ()
    return Command(step, (*tool.argv, *what, "-no-color", *more), content)


def knows_variables(tool: Tool) -> bool:
    """Whether every command of it takes variables, not only those that plan."""
    return tool.name == "tofu" and tool.version >= (1, 8, 0)


def _with_variables(
    tool: Tool,
    step: StepName,
    arguments: tuple[str, ...],
    variables: Iterable[Variable],
    *rest: str,
) -> Command:
    content = var_file(variables)
    more = ("-var-file=/dev/stdin",) if content else ()
    return Command(step, (*tool.argv, step, *arguments, *more, *rest), content)
