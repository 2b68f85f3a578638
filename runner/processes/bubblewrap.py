"""The namespaces of a run: bubblewrap's arguments.

A run sees an empty system with what is named here: the system's programs and libraries, the files
of /etc that programs read, /proc and /dev of its own, its own folder at `ROOT`, and what an
administrator has given. Everything but its own folder is read-only.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from runner.processes import landlock
from runner.processes.sandbox import SYSTEM, View
from runner.processes.starter import command
from runner.processes.workdir import WorkDir

ROOT = Path("/stateroom")  # where every run finds its own folder
_PACKAGE = Path("/.warden")  # where it finds the warden's few modules
_ETC = (
    *("alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "gai.conf"),
    *("host.conf", "hosts", "krb5.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime"),
    *("mime.types", "nsswitch.conf", "os-release", "pki", "protocols", "resolv.conf", "rpc"),
    *("services", "ssl", "static", "terminfo", "timezone"),
)
_PRIVATE = ("/etc/ssl/private", "/etc/pki/tls/private", "/etc/pki/private", "/usr/local/etc")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts")
_WRITABLE = (str(ROOT), "/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 in a namespace of its own
# to become the run's user, to end its processes, and to measure its folder
_WARDEN_MAY = ("CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_DAC_READ_SEARCH")


def program() -> str | None:
    return shutil.which("bwrap", path=os.environ.get("PATH", os.defpath))


def argv(bwrap: str, work: WorkDir, view: View, passwd: int, group: int) -> list[str]:
    """The command that starts a warden in namespaces of its own.

    `passwd` and `group` are files in memory, with the run's user.
    """
    own = [arg for name in _WARDEN_MAY for arg in ("--cap-add", name)]
    return [
        bwrap,
        *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *("--hostname", "stateroom", "--as-pid-1"),
        *(own if os.geteuid() == 0 else ["--unshare-user"]),
        *("--perms", "0755", "--dir", "/etc", "--proc", "/proc", "--dev", "/dev"),
        *("--bind", str(work.root), str(ROOT)),
        *("--bind", str(work.tmp), "/tmp", "--bind", str(work.tmp), "/var/tmp"),  # noqa: S108
        *("--bind", str(work.shm), "/dev/shm"),  # noqa: S108
        *_mounts(view),
        *("--perms", "0444", "--ro-bind-data", str(passwd), "/etc/passwd"),
        *("--perms", "0444", "--ro-bind-data", str(group), "/etc/group"),
        *("--ro-bind", str(_modules()), str(_PACKAGE / "runner" / "processes")),
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"),
        "--",
        *command("warden", _python(), _PACKAGE),
    ]


def shown(view: View) -> list[Path]:
    """What a run sees, each with everything below it."""
    own = [ROOT, Path("/dev"), Path("/proc")]
    return [*map(Path, SYSTEM), *_of_etc(), *own, *view.readable]


def landlock_rules() -> list[landlock.Rule]:
    """What Landlock allows inside: to read what is there, and to write where a run may."""
    return [
        ("/", landlock.READ),
        *((path, landlock.EVERYTHING) for path in _WRITABLE),
        *((f"/dev/{name}", landlock.DEVICES) for name in _DEVICES),
    ]


def _modules() -> Path:
    return Path(__file__).resolve().parent


def _python() -> Path:
    """Our Python itself: a virtual environment is a link to it."""
    return Path(sys.executable).resolve()


def _mounts(view: View) -> Iterator[str]:
    """Shallow paths first, so that what is given inside of a hidden folder is there again."""
    given = {path: path for path in _python_folders()}
    given |= {Path(os.path.abspath(path)): path.resolve() for path in view.readable}  # noqa: PTH100 as it is named
    given |= {path.resolve(): path.resolve() for path in view.readable}
    wanted = [(path, "show") for path in (*map(Path, SYSTEM), *_of_etc(), *given)]
    wanted += [(path, "hide") for path in (*view.hidden, *map(Path, _PRIVATE))]
    shown: list[Path] = []
    made: set[Path] = set()
    emptied: list[str] = []
    # at the same path, what is given by name wins over what is hidden
    for path, what in sorted(set(wanted), key=lambda one: (len(one[0].parts), one[1])):
        if what == "show" and path.exists():
            # bubblewrap would close the folders on the way to everybody but root
            for parent in reversed(path.parents[:-1]):
                if parent not in made and not _is_in(parent, shown):
                    made.add(parent)
                    yield from ("--perms", "0755", "--dir", str(parent))
            shown.append(path)
            yield from _shown(path)
        elif what == "hide" and path.is_dir() and _is_in(path, shown):
            emptied.append(str(path))
            yield from ("--perms", "0555", "--tmpfs", str(path))
        elif what == "hide" and path.exists() and _is_in(path, shown):
            yield from ("--ro-bind", "/dev/null", str(path))
    for folder in emptied:
        yield from ("--remount-ro", folder)


def _is_in(path: Path, folders: list[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _shown(path: Path) -> tuple[str, str, str]:
    if path.is_symlink() and str(path) in SYSTEM:  # /bin is usr/bin
        return "--symlink", str(path.readlink()), str(path)
    return "--ro-bind", str(path.resolve()), str(path)


def _of_etc() -> Iterator[Path]:
    return (Path("/etc", name) for name in _ETC)


def _python_folders() -> Iterator[Path]:
    """Where our Python is, if it is not one of the system's."""
    for folder in {Path(sys.base_prefix).resolve(), _python().parent.parent}:
        if not any(folder.is_relative_to(system) for system in SYSTEM):
            yield folder
