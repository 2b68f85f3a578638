"""The bell in a folder: kombu's transport through files, with consumers that wake up at once.

The bell is the message that tells workers to look for work. kombu's consumer only looks into the
folder at intervals. Here each consumer also has a named pipe, and a sender writes a byte into every
pipe after its message. If a byte is lost, the message is found at the next interval.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

import structlog
from kombu.transport import filesystem

log = structlog.get_logger()

PIPES = "pipes"  # the folder of the pipes, inside the folder of the messages
LOOK_SECONDS = 1.0  # the interval of looking into the folder while nobody rings
DEAF_SECONDS = 0.05  # the interval if the file system has no named pipes
_READ_BYTES = 1 << 16


class Ear:
    """The named pipe of one consumer. It keeps a ring until the consumer waits for it."""

    def __init__(self, folder: Path) -> None:
        """Create the pipe. Raises OSError if the file system has no named pipes."""
        pipes = folder / PIPES
        pipes.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = uuid4().hex
        unborn = pipes / f".{name}"
        os.mkfifo(unborn, 0o600)
        # also open it for writing: without a writer, poll would return at once
        self._pipe = os.open(unborn, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._path = unborn.rename(pipes / name)  # once open, nobody removes it as dead

    def wait(self, seconds: float) -> bool:
        """Whether somebody rings within so many seconds, or has rung since the last call."""
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        if not poll.poll(seconds * 1000):
            return False
        os.read(self._pipe, _READ_BYTES)
        return True

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._pipe)


def ring(folder: Path) -> None:
    """Wake every process with an Ear in this folder, and remove the pipes of dead processes."""
    for pipe in _pipes(folder / PIPES):
        try:
            fd = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        except OSError:  # nobody reads it
            pipe.unlink(missing_ok=True)
            continue
        with contextlib.suppress(BlockingIOError):  # it is full, and wakes its reader anyway
            os.write(fd, b"\0")
        os.close(fd)


def _pipes(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError):
        yield from (pipe for pipe in folder.iterdir() if not pipe.name.startswith("."))


class Channel(filesystem.Channel):
    """Writes each message atomically, and rings."""

    def _put(self, queue: str, payload: Any, **_options: Any) -> None:  # type: ignore[override]  # as kombu's own
        name = f"{round(monotonic() * 1000)}_{uuid4()}.{queue}.msg"  # as kombu names them
        folder = Path(self.data_folder_out)
        unfinished = folder / f"{name}.unfinished"  # kombu would read a half-written message
        unfinished.write_text(json.dumps(payload), encoding="utf-8")
        unfinished.rename(folder / name)
        ring(folder)


class Transport(filesystem.Transport):
    """Waits for a ring instead of sleeping between two looks into the folder."""

    Channel = Channel
    client: Any
    cycle: Any
    _ear: Ear | None = None
    _is_deaf = False

    def drain_events(self, connection: Any, timeout: float | None = None, **_options: Any) -> None:  # noqa: ARG002
        """Deliver one message. Raises TimeoutError when none arrives in time."""
        began = monotonic()
        self._listen()
        while True:
            with contextlib.suppress(Empty):
                self.cycle.get(self._deliver, timeout=timeout)
                return
            left = LOOK_SECONDS if timeout is None else began + timeout - monotonic()
            if left <= 0:
                raise TimeoutError
            self._wait(min(left, LOOK_SECONDS))

    def close_connection(self, connection: Any) -> None:
        if self._ear is not None:
            self._ear.close()
            self._ear = None
        super().close_connection(connection)  # type: ignore[no-untyped-call]  # kombu has no types

    def _listen(self) -> None:
        """Begin to listen, before the first look, so that no later message is missed."""
        if self._ear is not None or self._is_deaf:
            return
        try:
            self._ear = Ear(Path(self.client.transport_options["data_folder_in"]))
        except OSError as error:
            self._is_deaf = True
            log.warning("bell_without_pipe", reason=str(error))

    def _wait(self, seconds: float) -> None:
        if self._ear is not None:
            self._ear.wait(seconds)
        else:
            sleep(min(seconds, DEAF_SECONDS))
