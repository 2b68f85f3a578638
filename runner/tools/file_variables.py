"""Variables of the type file: their values are in files of the run, and the tool gets the paths."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from runner.errors import ToolError
from runner.job import Variable
from runner.processes.room import Room
from runner.processes.workdir import WorkDir

_FOLDER = "files"  # in the home of the run


def place(variables: tuple[Variable, ...], work: WorkDir, room: Room) -> tuple[Variable, ...]:
    """Write the files, and return the variables with paths as the room sees them.

    Nobody but the run's user can read them. A path is no secret. Raises ToolError
    `variable-invalid`.
    """
    return tuple(_placed(variables, work, room))


def _placed(variables: tuple[Variable, ...], work: WorkDir, room: Room) -> Iterator[Variable]:
    folder = work.home / _FOLDER
    for variable in variables:
        if variable.type != "file":
            yield variable
            continue
        path = folder / variable.kind / variable.name
        _write(path, variable)
        seen = str(room.inside(path))
        yield replace(variable, value=seen, type="string", sensitive=False)
    if folder.exists():
        room.hand_over(folder)


def _write(path: Path, variable: Variable) -> None:
    if "/" in variable.name or variable.name in (".", ".."):
        raise ToolError("variable-invalid", f"{variable.name!r} cannot be a variable's name.")
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(variable.value.encode(errors="surrogatepass"))
