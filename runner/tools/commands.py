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


def init(
    tool: Tool,
    variables: Iterable[Variable],
    configs: Iterable[Path] = (),
    files: Iterable[Path] = (),
) -> Command:
    """Initialise. Module sources and tofu's backends may use variables, so init gets them too.

    `configs` are files that complete the backend block of the sources, a later one wins. `files`
    are, here and below, files with variables, which `variables` win over.
    """
    more = (f"-backend-config={config}" for config in configs)
    return _with_variables(tool, "init", (*_QUIET, "-reconfigure", *more), variables, files)


def init_cloud(tool: Tool, variables: Iterable[Variable], files: Iterable[Path] = ()) -> Command:
    """Initialise with a `cloud` block, for which both tools refuse -reconfigure."""
    return _with_variables(tool, "init", _QUIET, variables, files)


def as_locked(initialising: Command, tool: Tool) -> Command:
    """The same init, with the lock file as it is: nothing is added to it either."""
    at = len(tool.argv) + 1
    argv = (*initialising.argv[:at], "-lockfile=readonly", *initialising.argv[at:])
    return replace(initialising, argv=argv)


def plan(  # noqa: PLR0913 what a plan is made from
    tool: Tool,
    operation: Operation,
    plan_file: Path,
    variables: Iterable[Variable],
    selection: Iterable[str] = (),
    files: Iterable[Path] = (),
) -> Command:
    """Plan. The exit code is 0 if nothing would change, 2 if something would, and 1 on an error.

    A plan that is never applied takes no lock: it waits for nobody, and holds nobody up.
    """
    mode = _MODES.get(operation, ())
    lock = ("-lock=false",) if operation in HARMLESS else ()
    arguments = (*_QUIET, "-detailed-exitcode", f"-out={plan_file}", *mode, *lock, *selection)
    return _with_variables(tool, "plan", arguments, variables, files)


def selection(job: Job) -> tuple[str, ...]:
    """The options for what the run is about. Each is one word, whatever the address is."""
    replaced = (f"-replace={address}" for address in job.replace)
    return (*(f"-target={address}" for address in job.targets), *replaced)


def apply(
    tool: Tool,
    plan_file: Path,
    ephemeral: Iterable[Variable] = (),
    files: Iterable[Path] = (),
) -> Command:
    """Apply a saved plan, which contains the variables except ephemeral ones.

    It waits for a lock that somebody took since the run was claimed.
    """
    arguments = (*_QUIET, f"-lock-timeout={LOCK_SECONDS}s")
    return _with_variables(tool, "apply", arguments, ephemeral, files, str(plan_file))


def output(tool: Tool, variables: Iterable[Variable], files: Iterable[Path] = ()) -> Command:
    return _in_own_backend(tool, "output", ("output", "-json"), variables, files)


def show(
    tool: Tool, plan_file: Path, variables: Iterable[Variable], files: Iterable[Path] = ()
) -> Command:
    """Print a saved plan as JSON, with its secrets in clear. It must not get into the log.

    Only tofu gets variables: the encryption of the plan may use them.
    """
    content, more = _known(tool, variables, files)
    arguments = ("show", "-json", "-no-color", *more, str(plan_file))
    return Command("show", (*tool.argv, *arguments), content)


def workspaces(tool: Tool, variables: Iterable[Variable], files: Iterable[Path] = ()) -> Command:
    """List the CLI workspaces of the backend. The selected one is marked with a star."""
    return _in_own_backend(tool, "list", ("workspace", "list"), variables, files)


def pull(tool: Tool, variables: Iterable[Variable], files: Iterable[Path] = ()) -> Command:
    """Print the state in the backend, and a line end. It must not get into the log."""
    return _in_own_backend(tool, "pull", ("state", "pull"), variables, files)


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
    tool: Tool,
    step: StepName,
    what: tuple[str, ...],
    variables: Iterable[Variable],
    files: Iterable[Path],
) -> Command:
    """A command in the sources' backend. Only tofu gets variables, for backend and encryption."""
    content, more = _known(tool, variables, files)
    return Command(step, (*tool.argv, *what, "-no-color", *more), content)


def knows_variables(tool: Tool) -> bool:
    """Whether every command of the tool accepts variables, not only those that plan."""
    return tool.name == "tofu" and tool.version >= (1, 8, 0)


def _known(
    tool: Tool, variables: Iterable[Variable], files: Iterable[Path]
) -> tuple[bytes | None, tuple[str, ...]]:
    """As `_given`, for a command that only newer releases of tofu give variables."""
    return _given(variables, files) if knows_variables(tool) else (None, ())


def _given(
    variables: Iterable[Variable], files: Iterable[Path]
) -> tuple[bytes | None, tuple[str, ...]]:
    """The standard input of a command, and its options: of two files the later one wins."""
    content = var_file(variables)
    ours = ("-var-file=/dev/stdin",) if content else ()
    return content, (*(f"-var-file={file}" for file in files), *ours)


def _with_variables(
    tool: Tool,
    step: StepName,
    arguments: tuple[str, ...],
    variables: Iterable[Variable],
    files: Iterable[Path],
    *rest: str,
) -> Command:
    content, more = _given(variables, files)
    return Command(step, (*tool.argv, step, *arguments, *more, *rest), content)
