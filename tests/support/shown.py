"""What `stateroom runs show` tells of a run, for whoever reads nothing else."""

from __future__ import annotations

import re

from tests.support.command_line import CommandLine
from tests.support.place import Place
from tests.support.queued_run import QueuedRun

LINE = re.compile(r"(?m)^([a-z ]+): +(.*)$")


def shown(place: Place, run: QueuedRun) -> dict[str, str]:
    """What `runs show` prints, by its titles."""
    said = at(place).must("runs", "show", run.id)
    return dict(LINE.findall(said))


def at(place: Place) -> CommandLine:
    url = place.state.url.partition("/api/")[0]
    return CommandLine(url, place.api.token, place.project, place.workspace)
