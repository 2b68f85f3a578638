"""Rotating the keyring with 10,000 versions: how fast it is, and how it slows a writer down.

The server re-wraps in the background. Somebody writes states of 100 KB at the same time, and again
when everything is done. Each write holds a lock and sends Content-MD5 and a new serial.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import func, select

from backend.models import StateVersion
from backend.sealing import keyring_file
from backend.transactions import Installation
from backend.upkeep import installation as installations
from backend.upkeep import rotation
from bench import installed, yardstick
from bench.installed import Addresses
from bench.rounds import WIDTH, options, percentile, show
from bench.states import Bench
from tests.support.stateroom import Stateroom

FILLED, WRITTEN = 0, 1  # workspaces
POLL_SECONDS = 0.1
LOOK_EVERY_SECONDS = 0.1


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    versions: int = 10_000
    requests: int = 40  # requests of the writer in one measurement
    rounds: int = 5


@dataclass(frozen=True)
class Round:
    """One rotation: its seconds, and the latencies of the writer during it and afterwards."""

    seconds: float
    beside: Sequence[float]
    alone: Sequence[float]


def rotate(here: Installation) -> str:
    assert here.keyring.path
    key_id = keyring_file.add(here.keyring.path)
    with here.itself.transaction() as tx:
        rotation.activate(tx, key_id)
    return key_id


def is_done(here: Installation, key_id: str) -> bool:
    of_others = select(func.count()).where(
        StateVersion.key_id != key_id, StateVersion.wrapped_key != b""
    )
    with here.itself.reading() as tx:
        return tx.db.scalar(of_others) == 0


def seconds_of(here: Installation, key_id: str) -> float:
    """The seconds from now on until everything is wrapped with this key."""
    started = time.perf_counter()
    while not is_done(here, key_id):
        time.sleep(LOOK_EVERY_SECONDS)
    return time.perf_counter() - started


def one_round(here: Installation, bench: Bench, extent: Extent) -> Round:
    writes = [bench.writes("100 KB", WRITTEN)]
    beside: list[float] = []
    alone: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        watched = pool.submit(seconds_of, here, rotate(here))
        while not watched.done():
            beside += bench.ours(writes, extent.requests).latencies
    while len(alone) < len(beside):
        alone += bench.ours(writes, extent.requests).latencies
    return Round(watched.result(), beside, alone)


def measure(running: Stateroom, folder: Path, extent: Extent) -> None:
    here = installations.existing(running.configuration)
    with yardstick.running(folder / "yardstick") as stick:
        addresses = Addresses.create(running, "bench", 2)
        bench = Bench(addresses, stick, folder, "SQLite")
        for workspace in (FILLED, WRITTEN):
            addresses.lock(workspace)
        bench.ours([bench.writes("10 KB", FILLED)], extent.versions)
        bench.ours([bench.writes("100 KB", WRITTEN)], 10)
        rounds = [one_round(here, bench, extent) for _ in range(extent.rounds)]
    here.database.close()
    rate = statistics.median(extent.versions / r.seconds for r in rounds)
    print(f"{'re-wrapped, with the poll before it':{WIDTH}} {rate:10.0f} versions/s")
    for percent in (50, 99):
        found = [
            (percentile(r.beside, percent) * 1e3, percentile(r.alone, percent) * 1e3)
            for r in rounds
        ]
        show(f"p{percent} of POST 100 KB beside it", found, "ms")


def main() -> None:
    parser = options(__doc__)
    extent = _extent(parser.parse_args())
    kept = {"poll_seconds": POLL_SECONDS, "keep_versions": 1_000_000}
    print(f"{extent.versions:,} versions; database: SQLite, 1 server process")
    with installed.scratch() as folder, installed.stateroom(folder, **kept) as running:
        measure(running, folder, extent)
    print(f"{extent.versions:,} versions; database: PostgreSQL with fsync, 1 server process")
    with (
        installed.scratch() as folder,
        installed.postgres() as url,
        installed.stateroom(folder, database_url=url, **kept) as running,
    ):
        measure(running, folder, extent)


def _extent(given: argparse.Namespace) -> Extent:
    extent = Extent(versions=60, requests=3, rounds=1) if given.quick else Extent()
    return replace(extent, rounds=given.rounds) if given.rounds else extent


if __name__ == "__main__":
    main()
