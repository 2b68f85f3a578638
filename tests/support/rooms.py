"""Rooms of runs in tests, in each layer that this machine has."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.job import RoomLimits, SandboxMode
from runner.processes import room, workdir
from runner.processes.process import Captured, capture
from runner.processes.room import Room, Terms
from runner.processes.sandbox import View
from tests.support.required import required

LAYERS: tuple[SandboxMode, ...] = ("required", "user", "landlock")
# where this test's Python is: what a tool in Python would be given
PREFIXES = (Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent.parent)


def need(mode: SandboxMode, root: Path) -> None:
    """Skip where this machine has no such layer: its kernel, or its user, may forbid it."""
    required("bwrap")
    found = room.chosen(mode, root, Terms().users)
    wanted = {"required": "namespaces", "auto": found.layer}.get(mode, mode)
    if found.layer != wanted or found.layer == "none":
        pytest.skip(f"this machine does not let us have the layer {wanted}: {found.why}")


@contextmanager
def opened(
    data: Path,
    mode: SandboxMode = "auto",
    *readable: Path,
    hidden: tuple[Path, ...] = (),
    limits: RoomLimits | None = None,
    grace: float = 5.0,
) -> Iterator[Room]:
    """A room for one run, whose folder is in `data`/work."""
    need(mode, data / "work")
    view = View(readable, (data, *hidden))
    with workdir.create(data / "work", "run-1", 1) as work:
        terms = Terms(mode, view, limits or RoomLimits(), grace)
        with room.opened(work, terms) as made:
            yield made


def shell(made: Room, script: str, **environment: str) -> Captured:
    """What a shell script says that runs in a room, in its checkout folder."""
    return capture(
        ["sh", "-c", script],
        env={"PATH": os.defpath, **environment},
        cwd=made.seen.checkout,
        deadline=60,
        room=made,
    )
