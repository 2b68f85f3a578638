"""What confines the commands of a run, and which of the layers this machine has.

namespaces  bubblewrap: the run sees its own folder, the system's by an allow-list, its own
            processes, and nothing else. A worker that is root also gives it a user of its own.
user        a user of its own for each run, where a worker that is root may not make namespaces.
landlock    only Landlock, which the other two have inside as well where the kernel knows it.
none        nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runner.errors import ToolError
from runner.job import SandboxMode
from runner.processes import landlock
from runner.processes.prctl import DUMPABLE, switch

Layer = Literal["namespaces", "user", "landlock", "none"]

SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/nix/store", "/run/current-system"),
)
# beside the system's: what Landlock alone has to give as a whole
_FOLDERS = ("/etc", "/opt", "/proc", "/sys", "/run/systemd/resolve", "/run/resolvconf")
_FOLLOWED = ("/etc/resolv.conf", "/etc/hosts", "/etc/localtime")  # symlinks to elsewhere on some
# not the whole of /dev: it has disks, memory and other people's shm
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@dataclass(frozen=True)
class View:
    """What a run sees of the machine besides the system's own folders and its own.

    `hidden` is kept out of these, unless it was given in `readable` by its own name.
    """

    readable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Sandbox:
    """The layer that this worker confines runs by. `why` says why it is not a better one."""

    layer: Layer
    abi: int = 0  # Landlock's number, 0 for none
    why: str = ""

    @property
    def is_full(self) -> bool:
        return self.layer == "namespaces"

    def __str__(self) -> str:
        inside = f"landlock {self.abi}" if self.abi else ""
        outside = "" if self.layer == "landlock" else self.layer.replace("user", "own user")
        return ", ".join(word for word in (outside, inside) if word)


def check(mode: SandboxMode, sandbox: Sandbox) -> None:
    """Refuse a sandbox that is less than asked for. Raises ToolError `sandbox-unavailable`."""
    if mode == "required" and not sandbox.is_full:
        raise ToolError(
            "sandbox-unavailable",
            "STATEROOM_SANDBOX=required asks for namespaces, and this worker has none: "
            f"{sandbox.why}",
        )
    if mode != "none" and sandbox.layer == "none":
        raise ToolError(
            "sandbox-unavailable",
            f"Nothing on this machine can confine a run: {sandbox.why} Install bubblewrap, or use "
            "a kernel with Landlock (5.19 or later). To run without a sandbox, which lets every "
            "repository read what the worker can read, set STATEROOM_SANDBOX=none.",
        )


def landlock_rules(work: Path, view: View) -> list[landlock.Rule]:
    """What Landlock allows where a run sees the whole machine."""
    hidden = tuple(path.resolve() for path in view.hidden)
    rules = [
        (str(path), landlock.READ)
        for folder in (*SYSTEM, *_FOLDERS)
        for path in _around(Path(folder).resolve(), hidden)
    ]
    rules += [(path, landlock.READ) for path in _FOLLOWED]
    for given in view.readable:
        still = _still_hidden(given, hidden)
        rules += [(str(path), landlock.READ) for path in _around(given.resolve(), still)]
    rules += [(path, landlock.DEVICES) for path in _DEVICES]
    return [*rules, (str(work), landlock.EVERYTHING)]


def _still_hidden(given: Path, hidden: tuple[Path, ...]) -> tuple[Path, ...]:
    """What stays out although the path is given: what is in it, not what it is in on purpose."""
    resolved = given.resolve()
    return tuple(path for path in hidden if path != resolved and path not in resolved.parents)


def _around(folder: Path, hidden: tuple[Path, ...]) -> Iterator[Path]:
    """The folder, or what is beside the hidden paths in it."""
    if any(folder.is_relative_to(path) for path in hidden):
        return
    if not any(path.is_relative_to(folder) for path in hidden):
        yield folder
        return
    try:
        children = list(folder.iterdir())
    except (PermissionError, NotADirectoryError):  # then nobody of this user can read it either
        return
    for child in children:
        if not child.is_symlink():
            yield from _around(child, hidden)


def hide_memory() -> None:
    """Keep this process's environment and memory from its children, which may share its user.

    Raises OSError.
    """
    switch(DUMPABLE, 0, "PR_SET_DUMPABLE")


def is_root() -> bool:
    return os.geteuid() == 0
