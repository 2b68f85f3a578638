"""Reading, writing and locking states, compared with a server that only writes and fsyncs a file.

It prints requests per second over persistent connections. As in an apply, each write holds a lock
and sends Content-MD5 and a new serial. Then it measures a reader during 20 stalled uploads, and a
state with many versions against one with few.
"""

from __future__ import annotations

import argparse
import itertools
import math
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import bodies, installed, yardstick
from bench.installed import Addresses
from bench.rounds import interleaved, options, show
from bench.yardstick import Connection, Result, Step, Yardstick
from tests.support.stateroom import Stateroom

SIZES = {"10 KB": 10_000, "100 KB": 100_000, "1 MB": 1_000_000, "10 MB": 10_000_000}
REQUESTS = {"10 KB": 400, "100 KB": 300, "1 MB": 60, "10 MB": 8}  # for one connection in one round
CLIENTS = (1, 8)
GOALS = {
    "SQLite": {
        ("GET", "100 KB", 1): ">= 0.2",
        ("POST", "100 KB", 1): ">= 0.5",
        ("LOCK, UNLOCK", "", 1): ">= 0.5",
    },
    # nimbolus/terraform-backend on PostgreSQL has GET 0.09 and POST 0.22 of the same Go server
    "PostgreSQL": {("GET", "100 KB", 8): ">= 0.09", ("POST", "100 KB", 8): ">= 0.44"},
}
STALLED = 20
FEW_VERSIONS = 10


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    sizes: Sequence[str] = tuple(SIZES)
    share: float = 1.0  # the part of REQUESTS to send
    rounds: int = 5
    many_versions: int = 10_000

    def requests(self, size: str, clients: int) -> int:
        return max(2, int(REQUESTS[size] * self.share / math.sqrt(clients)))


class Bench:
    """Stateroom and the yardstick's server, with the same states."""

    def __init__(
        self, addresses: Addresses, measure: Yardstick, folder: Path, database: str
    ) -> None:
        self.goals = GOALS[database]
        self._addresses, self._measure, self._folder = addresses, measure, folder
        self._serials = itertools.count(bodies.FIRST_SERIAL + 1, 100_000)
        self._info = folder / "info"
        self._info.write_bytes(installed.lock_info())

    def body(self, size: str) -> tuple[str, int]:
        """The file with a state of this size, and the offset of its serial."""
        file = self._folder / size.replace(" ", "-")
        if not file.exists():
            file.write_bytes(bodies.structured(SIZES[size]))
        return str(file), bodies.serial_at(file.read_bytes())

    def writes(self, size: str, workspace: int) -> list[Step]:
        file, at = self.body(size)
        path = f"{self._addresses.path(workspace)}?ID={installed.LOCK_ID}"
        return [Step("POST", path, file, at)]

    def reads(self, workspace: int) -> list[Step]:
        return [Step("GET", self._addresses.path(workspace))]

    def locks(self, workspace: int) -> list[Step]:
        path = self._addresses.path(workspace)
        return [Step(verb, path, str(self._info)) for verb in ("LOCK", "UNLOCK")]

    def ours(self, per_client: Sequence[list[Step]], times: int) -> Result:
        addresses = self._addresses
        return self._load(addresses.installation.port, per_client, times, addresses.header)

    def theirs(self, per_client: Sequence[list[Step]], times: int) -> Result:
        return self._load(self._measure.port, per_client, times, "")

    def compare(
        self, name: str, per_client: Sequence[list[Step]], times: int, rounds: int, goal: str
    ) -> None:
        found = interleaved(
            lambda: self.ours(per_client, times).rate,
            lambda: self.theirs(per_client, times).rate,
            rounds,
        )
        show(name, found, "/s", goal)

    def _load(self, port: int, per_client: Sequence[list[Step]], times: int, header: str) -> Result:
        first = next(self._serials)
        connections = [Connection(steps, times, first) for steps in per_client]
        return self._measure.load(port, connections, header)


def by_size(bench: Bench, addresses: Addresses, extent: Extent) -> None:
    for workspace in range(max(CLIENTS)):
        addresses.lock(workspace)
    for size, clients in itertools.product(extent.sizes, CLIENTS):
        times = extent.requests(size, clients)
        writes = [bench.writes(size, workspace) for workspace in range(clients)]
        reads = [bench.reads(workspace) for workspace in range(clients)]
        bench.ours(writes, 2)  # warm up: the first requests of a process are slower
        bench.theirs(writes, 2)
        for verb, steps in (("POST", writes), ("GET", reads)):
            name = f"{verb} {size}, {_clients(clients)}"
            goal = bench.goals.get((verb, size, clients), "")
            bench.compare(name, steps, times, extent.rounds, goal)


def locking(bench: Bench, extent: Extent) -> None:
    for clients in CLIENTS:
        # workspaces whose locks by_size does not hold
        steps = [bench.locks(max(CLIENTS) + workspace) for workspace in range(clients)]
        times = extent.requests("100 KB", clients)
        goal = bench.goals.get(("LOCK, UNLOCK", "", clients), "")
        bench.compare(f"LOCK, UNLOCK, {_clients(clients)}", steps, times, extent.rounds, goal)


def beside_stalled(bench: Bench, addresses: Addresses, extent: Extent) -> None:
    """The p99 of a reader of 100 KB with and without stalled uploads."""
    reads = [bench.reads(0)]
    bench.ours([bench.writes("100 KB", 0)], 2)
    times = max(20, extent.requests("100 KB", 1))

    def alone() -> float:
        return bench.ours(reads, times).latency(99) * 1e3

    def beside() -> float:
        with _stalled_uploads(addresses):
            return alone()

    found = interleaved(beside, alone, extent.rounds)
    show(f"p99 of GET beside {STALLED} stalled", found, "ms", "<= 2")


@contextmanager
def _stalled_uploads(addresses: Addresses) -> Iterator[None]:
    head = (
        f"POST {addresses.path(1)} HTTP/1.1\r\nHost: bench\r\n{addresses.header}"
        "Content-Type: application/json\r\n"
        'Content-Length: 100000\r\n\r\n{"version": 4,'
    )
    port = addresses.installation.port
    uploads = [socket.create_connection(("127.0.0.1", port)) for _ in range(STALLED)]
    try:
        for upload in uploads:
            upload.sendall(head.encode())
        yield
    finally:
        for upload in uploads:
            upload.close()


def as_history_grows(bench: Bench, addresses: Addresses, extent: Extent) -> None:
    few, many = 2 * max(CLIENTS), 2 * max(CLIENTS) + 1
    for workspace, versions in ((few, FEW_VERSIONS), (many, extent.many_versions)):
        addresses.lock(workspace)
        bench.ours([bench.writes("10 KB", workspace)], versions)
    times = extent.requests("10 KB", 1)
    name = f"{extent.many_versions:,} versions to {FEW_VERSIONS}"
    for verb, steps in (("write", bench.writes), ("read", lambda _, w: bench.reads(w))):
        found = interleaved(
            lambda steps=steps: bench.ours([steps("10 KB", many)], times).latency(50) * 1e3,  # type: ignore[misc]
            lambda steps=steps: bench.ours([steps("10 KB", few)], times).latency(50) * 1e3,  # type: ignore[misc]
            extent.rounds,
        )
        show(f"{verb} with {name}", found, "ms", "<= 1.1")


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"


def measure(installation: Stateroom, folder: Path, extent: Extent, database: str) -> None:
    with yardstick.running(folder / "yardstick") as stick:
        addresses = Addresses.create(installation, "bench", 2 * max(CLIENTS) + 2)
        bench = Bench(addresses, stick, folder, database)
        by_size(bench, addresses, extent)
        locking(bench, extent)
        beside_stalled(bench, addresses, extent)
        as_history_grows(bench, addresses, extent)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument(
        "--database", choices=["sqlite", "postgresql"], help="only this one; by default both"
    )
    parser.add_argument("--processes", type=int, default=2, help="of the server, on PostgreSQL")
    given = parser.parse_args()
    if given.database != "postgresql":
        on_sqlite(_extent(given))
    if given.database != "sqlite" and not given.quick:
        on_postgresql(_extent(given), given.processes)


def on_sqlite(extent: Extent) -> None:
    print("database: SQLite, 1 server process")
    with installed.scratch() as folder, installed.stateroom(folder) as installation:
        measure(installation, folder, extent, "SQLite")


def on_postgresql(extent: Extent, processes: int) -> None:
    print(f"database: PostgreSQL with fsync, server processes: {processes}")
    with (
        installed.scratch() as folder,
        installed.postgres() as url,
        installed.stateroom(folder, database_url=url, server_processes=processes) as installation,
    ):
        measure(installation, folder, extent, "PostgreSQL")


def _extent(given: argparse.Namespace) -> Extent:
    extent = Extent()
    if given.quick:
        extent = Extent(sizes=("10 KB", "100 KB"), share=0.05, rounds=1, many_versions=100)
    return replace(extent, rounds=given.rounds) if given.rounds else extent


if __name__ == "__main__":
    main()
