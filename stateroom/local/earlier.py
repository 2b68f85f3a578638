"""What an earlier `stateroom up` of the same data folder left behind when it was killed.

Its server and its worker live on until the runs at work have saved their states, and the server
keeps its port until then. Each `up` holds two locks, which the kernel frees with their holders: one
alone, and one together with what it starts.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import socket

    from backend.config import Settings

ITSELF, FAMILY = "up.lock", "up-family.lock"  # in the data folder
LOOK_SECONDS = 0.2


def begin(folder: Path) -> int:
    """Hold both locks as long as this process lives. The descriptor that its children inherit.

    Where another `up` uses the folder with another port, its locks stay its own.
    """
    _, family = (_locked(folder / name) for name in (ITSELF, FAMILY))
    return family


def listen(settings: Settings, seconds: float) -> socket.socket:
    """Open the listening socket, as `serve.listen` does. Raises WrongSetting.

    If an earlier `up` was killed, wait so long for what it has started to free the port.
    """
    from backend.web import serve

    ends = time.monotonic() + seconds
    said = False
    while True:
        try:
            return serve.listen(settings)
        except serve.AddressInUse:
            if time.monotonic() > ends or not _is_left_behind(settings.data_dir):
                raise
        if not said:
            click.echo(
                "An earlier `stateroom up` was killed, and what it has started still saves the "
                f"states of its runs. Waiting for it, at most {seconds:.0f} seconds.",
                err=True,
            )
            said = True
        time.sleep(LOOK_SECONDS)


def _is_left_behind(folder: Path) -> bool:
    """Whether what an earlier `up` has started lives, and it does not. It may just be ending."""
    return not _is_held(folder / ITSELF) and _is_held(folder / FAMILY)


def _locked(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
