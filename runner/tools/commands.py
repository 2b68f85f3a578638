"""The commands of the tool that a run needs. Their arguments never contain secrets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from runner.job import HARMLESS, REFRESHING, Job, Operation, Variable
from runner.tools.tool import Tool
from runner.tools.variables import var_file

StepName = Literal["init", "plan", "apply", "output", "show", "pull", "push", "list", "mirror"]

LOCK_SECONDS = 300  # how long an apply waits for a lock
_QUIET = ("-input=false", "-no-color")
_MODES = dict.fromkeys(REFRESHING, ("-refresh-only",)) | {"destroy": ("-destroy",)}


@dataclass(frozen=True)
class Command:
    """A command of the tool. `stdin` has the variables, and must be passed to it."""

    step: StepName
    argv: tuple[str, ...]
    stdin: bytes | None = field(default=None, repr=False)


def init(tool: Tool, variables: Iterable[Variable], config: Path | None = None) -> Command:
    """Initialise. Module sources and tofu's backends may use variables, so init gets them too.

    `config` is a file that completes the backend block of the sources.
    """
    more = () if config is None else (f"-backend-config={config}",)
    return _with_variables(tool, "init", (*_QUIET, "-reconfigure", *more), variables)


def init_cloud(tool: Tool, variables: Iterable[Variable]) -> Command:
    """Initialise with a `cloud` block, for which both tools refuse -reconfigure."""
    return _with_variables(tool, "init", _QUIET, variables)


def as_locked(initialising: Command, tool: Tool) -> Command:
    """The same init, with the lock file as it is: nothing is added to it either."""
    at = len(tool.argv) + 1
    argv = (*initialising.argv[:at], "-lockfile=readonly", *initialising.argv[at:])
    return replace(initialising, argv=argv)


def plan(
    tool: Tool,
    operation: Operation,
    plan_file: Path,
    variables: Iterable[Variable],
    selection: Iterable[str] = (),
) -> Command:
    """Plan. The exit code is 0 if nothing would change, 2 if something would, and 1 on an error.

    A plan that is never applied takes no lock: it waits for nobody, and holds nobody up.
    """
    mode = _MODES.get(operation, ())
    lock = ("-lock=false",) if operation in HARMLESS else ()
    arguments = (*_QUIET, "-detailed-exitcode", f"-out={plan_file}", *mode, *lock, *selection)
    return _with_variables(tool, "plan", arguments, variables)


def selection(job: Job) -> tuple[str, ...]:
    """The options for what the run is about. Each is one word, whatever the address is."""
    replaced = (f"-replace={address}" for address in job.replace)
    return (*(f"-target={address}" for address in job.targets), *replaced)


def apply(tool: Tool, plan_file: Path, ephemeral: Iterable[Variable] = ()) -> Command:
    """Apply a saved plan, which contains the variables except ephemeral ones.

    It waits for a lock that somebody took since the run was claimed.
    """
    arguments = (*_QUIET, f"-lock-timeout={LOCK_SECONDS}s")
    return _with_variables(tool, "apply", arguments, ephemeral, str(plan_file))


def output(tool: Tool, variables: Iterable[Variable]) -> Command:
    return _in_own_backend(tool, "output", ("output", "-json"), variables)


def show(tool: Tool, plan_file: Path, variables: Iterable[Variable]) -> Command:
    """Print a saved plan as JSON, with its secrets in clear. It must not get into the log.

    Only tofu gets variables: the encryption of the plan may use them.
    """
    content = var_file(variables) if knows_variables(tool) else None
    more = ("-var-file=/dev/stdin",) if content else ()
    arguments = ("show", "-json", "-no-color", *more, str(plan_file))
    return Command("show", (*tool.argv, *arguments), content)


def workspaces(tool: Tool, variables: Iterable[Variable]) -> Command:
    """List the CLI workspaces of the backend. The selected one is marked with a star."""
    return _in_own_backend(tool, "list", ("workspace", "list"), variables)


def pull(tool: Tool, variables: Iterable[Variable]) -> Command:
    """Print the state in the backend, and a line end. It must not get into the log."""
    return _in_own_backend(tool, "pull", ("state", "pull"), variables)


def push(tool: Tool, document: bytes) -> Command:
    """Write a state. The tool refuses to replace another lineage or a higher serial."""
    return Command("push", (*tool.argv, "state", "push", "-no-color", "-"), document)


def push_over(tool: Tool, document: bytes) -> Command:
    """Write a state, and replace whatever is there."""
    return Command("push", (*tool.argv, "state", "push", "-no-color", "-force", "-"), document)


def mirror(tool: Tool, platform: str, into: Path) -> Command:
    """Download what the folder's configuration requires as archives, verified by the tool."""
    what = ("providers", "mirror", f"-platform={platform}", str(into))
    return Command("mirror", (*tool.argv, *what))


def _in_own_backend(
    tool: Tool, step: StepName, what: tuple[str, ...], variables: Iterable[Variable]
) -> Command:
    """A command in the sources' backend. Only tofu gets variables, for backend and encryption."""
    content = var_file(variables) if knows_variables(tool) else None
    more = ("-var-file=/dev/stdin",) if content else ()
    return Command(step, (*tool.argv, *what, "-no-color", *more), content)


def knows_variables(tool: Tool) -> bool:
    """Whether every command of the tool accepts variables, not only those that plan."""
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
