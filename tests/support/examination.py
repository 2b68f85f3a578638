"""The doctor at work: in this process, or as the command."""

from __future__ import annotations

import os
import subprocess
import sys

from client import doctor, report
from client.conformance.suite import CHECKS, Outcome
from client.doctor import Deployment, Thoroughness
from tests.support.project import ROOT
from tests.support.stateroom import Stateroom

WRITING = ("reads", "writes", "force-unlock")
DOCTOR = [sys.executable, "-m", "stateroom", "doctor"]
GOOD = "proxy_http_version 1.1; proxy_request_buffering off; client_max_body_size 100m;"


def examined(url: str, token: str, *themes: str) -> list[Outcome]:
    """What the doctor finds of these themes, and of the network."""
    how = Thoroughness(slow=False)
    asked = [check for check in CHECKS if check.theme in {"network", *themes}]
    return doctor.examine(Deployment(url, token), how, lambda _: None, asked)


def run(url: str, *arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DOCTOR, url, *arguments],
        env=environment() | given,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return {**kept, "PATH": os.environ["PATH"]}


def said(outcomes: list[Outcome]) -> str:
    """All faults in words, on one line."""
    return " ".join(report.faults(outcomes).split())


def leftovers(stateroom: Stateroom) -> list[str]:
    names = [project["name"] for project in stateroom.api.every("/projects")]
    return [name for name in names if name.startswith("doctor-")]
