"""Commands that a test needs: on a laptop their absence skips it, in CI it fails it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def required(name: str) -> str:
    """The path of a command. Without it the test is skipped, or failed when CI=true."""
    path = shutil.which(name)
    if path is None:
        missing(f"{name} is not installed")
    return path


def system_python() -> str:
    """A Python that every sandbox shows."""
    places = ("/usr/bin/python3", "/usr/local/bin/python3")
    found = next((path for path in places if Path(path).exists()), None)
    return found or missing("python3 is in no folder of the system")


def missing(reason: str) -> NoReturn:
    """End the test because something is not installed here."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{reason}, and CI must have it")
    pytest.skip(reason)
