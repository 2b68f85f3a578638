"""The commands as people type them, against a real server."""

from __future__ import annotations

import pytest

from tests.support.command_line import CommandLine
from tests.support.installations import Installations
from tests.support.place import Place


@pytest.fixture
def place(installations: Installations) -> Place:
    """A fresh project on a server, with a workspace `first`."""
    return installations.place()


@pytest.fixture
def cli(place: Place) -> CommandLine:
    """The `stateroom` command of that server's administrator, in that project."""
    return CommandLine(place.wire.url, place.api.token, place.project, place.workspace)
