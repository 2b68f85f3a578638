"""What lies beside the run's own folder."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from tests.support.hostile.attempts import FILES, attempt, makes


@attempt("list the data folder")
def list_data() -> object:
    names = os.listdir(FILES["data folder"])
    return [name for name in names if name != "providers"]  # the cache that every run may read


@attempt("read the keyring, the database or a token")
def read_secrets() -> object:
    return _readable("keyring", "database", "token", "token elsewhere", "keyring elsewhere")


@attempt("read another run's folder")
def read_run() -> object:
    return _readable("other run's file") or _listed(FILES["other run's folder"])


@attempt("read a mirror of another project")
def read_mirror() -> object:
    return _readable("mirror") or _listed(FILES["mirrors"])


@attempt("write into the data folder or another run's")
def write_data() -> object:
    folders = ("data folder", "other run's folder", "mirrors")
    return [name for name in folders if makes(os.path.join(FILES[name], "hostile"))]


@attempt("change the mode of what is the worker's")
def chmod() -> object:
    def same(path: str) -> None:
        os.chmod(path, stat.S_IMODE(os.stat(path).st_mode))

    return _done_to_files(same)


@attempt("change the owner of what is the worker's")
def chown() -> object:
    def other(path: str) -> None:
        now = os.stat(path)
        os.chown(path, now.st_uid, now.st_gid)

    return _done_to_files(other)


@attempt("change the times of what is the worker's")
def utime() -> object:
    return _done_to_files(os.utime)


def _done_to_files(change: Callable[[str], None]) -> list[str]:
    done = []
    for name, path in FILES.items():
        with contextlib.suppress(OSError):
            change(path)
            done.append(name)
    return done


def _readable(*names: str) -> list[str]:
    found = []
    for name in names:
        with contextlib.suppress(OSError):
            if Path(FILES[name]).read_bytes():
                found.append(name)
    return found


def _listed(path: str) -> list[str]:
    with contextlib.suppress(OSError):
        return os.listdir(path)
    return []
