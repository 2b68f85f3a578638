"""A state of 100 MB: it goes in and comes out whole, and the server stays small."""

from __future__ import annotations

import hashlib
from pathlib import Path

import psutil
import pytest

from tests.support.documents import lock_info, state_document
from tests.support.installations import Installations
from tests.support.place import Place
from tests.support.stateroom import Stateroom

LIMIT = 100_000_000
MAY_GROW_BY = 64_000_000  # bytes of memory; a quarter of them are a frame of each thread


@pytest.fixture
def installation(installations: Installations) -> Stateroom:
    return installations.server("sqlite")


@pytest.fixture
def place(installation: Stateroom) -> Place:
    return installation.place()


def memory_of(installation: Stateroom) -> int:
    """The most that each process of the server ever took, in bytes."""
    assert installation.server is not None
    family = [psutil.Process(installation.server.pid), *installation.server.descendants()]
    peaks = []
    for process in family:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        peaks.append(int(peak.split()[1]) * 1024)
    return sum(peaks)


def test_a_state_of_100_mb_comes_back_whole_from_a_server_that_stays_small(
    installation: Stateroom, place: Place
) -> None:
    place.state.write(state_document(1, lineage="a", size=2_000_000))
    body = state_document(2, lineage="a", size=LIMIT - 1000)
    body += b" " * (LIMIT - len(body))
    info = lock_info()
    place.state.lock(info)
    before = memory_of(installation)

    written = place.state.write(body, info["ID"])
    read = place.state.read()

    assert written.status == 200
    assert hashlib.sha256(read.body).digest() == hashlib.sha256(body).digest()
    assert memory_of(installation) - before < MAY_GROW_BY


def test_a_state_above_100_mb_is_refused_and_changes_nothing(place: Place) -> None:
    before = state_document(1, lineage="a")
    place.state.write(before)
    body = state_document(2, lineage="a", size=LIMIT)

    refused = place.state.write(body + b" " * 1000)

    assert refused.status == 413
    assert "100,000,000" in refused.json()["detail"]
    assert place.state.read().body == before
