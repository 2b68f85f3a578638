"""400 viewers of one run: how they slow reading a state down while they join, and when they stay.

Somebody reads a state of 100 KB again and again on one connection: alone, while all viewers connect
at once, and while they follow. The log of the run grows all the time, as a worker writes it. Then
the statements that the server's reader of runs sends to the database, for all viewers and for one.
"""

from __future__ import annotations

import argparse
import http.client
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import event

from backend.models import Run
from backend.runs import claims, logs, moves
from backend.transactions import Installation
from backend.upkeep import installation as installations
from backend.web.api.run_events import look
from backend.web.live.hub import Hub
from backend.web.live.places import Place
from bench import bodies, installed
from bench.installed import Addresses
from bench.rounds import WIDTH, options, percentile, show

SIZE = 100_000
LOG_SECONDS = 0.3  # between two parts of the log
TOLD = b"event: log"  # a viewer has joined when it is told of the log
LINE = b"terraform_data.web: Still creating... [10s elapsed]\n"


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    viewers: int = 400
    seconds: float = 8.0  # of a measurement that nothing else ends
    rounds: int = 3


class Viewers:
    """Connections that follow a run. All are opened at once, and read in another thread."""

    def __init__(self, port: int, request: bytes, count: int) -> None:
        self._address, self._request, self._count = ("127.0.0.1", port), request, count
        self._untold: set[socket.socket] = set()
        self._is_leaving = False
        self.all_joined_after = 0.0  # seconds
        self._thread = threading.Thread(target=self._follow)

    @contextmanager
    def joining(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._is_leaving = True
            self._thread.join()

    def have_joined(self) -> bool:
        """Whether all are told of the run. Raises RuntimeError when one of them was refused."""
        if not self.all_joined_after and not self._thread.is_alive():
            raise RuntimeError("a viewer was refused, or lost its connection")
        return self.all_joined_after > 0

    def _follow(self) -> None:
        started = time.perf_counter()
        with ExitStack() as opened, selectors.DefaultSelector() as waiting:
            for _ in range(self._count):
                viewer = opened.enter_context(socket.create_connection(self._address))
                viewer.sendall(self._request)
                waiting.register(viewer, selectors.EVENT_READ)
                self._untold.add(viewer)
            while not self._is_leaving:
                for key, _ in waiting.select(0.1):
                    if not self._read(key.fileobj):  # type: ignore[arg-type]  # a socket
                        return
                if not self._untold and not self.all_joined_after:
                    self.all_joined_after = time.perf_counter() - started

    def _read(self, viewer: socket.socket) -> bool:
        """Read what has come; whether the viewer is still connected, and not refused."""
        read = viewer.recv(1 << 16)
        if TOLD in read:
            self._untold.discard(viewer)
        return bool(read) and b"application/problem+json" not in read


@contextmanager
def working(here: Installation, run_id: str) -> Iterator[None]:
    """A run whose log grows, without a worker."""
    with here.itself.transaction() as tx:
        moves.move(tx, tx.db.get_one(Run, run_id), "preparing")
    is_over = threading.Event()

    def write() -> None:
        while not is_over.wait(LOG_SECONDS):
            with here.itself.transaction() as tx:
                itself = replace(tx, principal=claims.itself(tx.db.get_one(Run, run_id)))
                logs.append(itself, LINE)

    writing = threading.Thread(target=write)
    writing.start()
    try:
        yield
    finally:
        is_over.set()
        writing.join()


def reading(addresses: Addresses, is_over: Callable[[], bool]) -> list[float]:
    """Read a state until it is over. The seconds that each of these requests took."""
    headers = authorization(addresses)
    server = http.client.HTTPConnection("127.0.0.1", addresses.installation.port)
    found: list[float] = []
    while not found or not is_over():
        started = time.perf_counter()
        server.request("GET", addresses.path(0), headers=headers)
        answer = server.getresponse()
        if answer.status != 200 or len(answer.read()) < SIZE // 2:
            raise RuntimeError(f"GET was answered {answer.status}")
        found.append(time.perf_counter() - started)
    server.close()
    return found


def authorization(addresses: Addresses) -> dict[str, str]:
    return dict([addresses.header.strip().split(": ", 1)])


def some_seconds(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end


def beside_states(addresses: Addresses, run: str, extent: Extent, credential: str = "") -> None:
    """`credential`: the header of the viewers, if it is not that of who reads the state."""
    joining, staying = [], []
    request = (
        f"GET /api/v1/projects/{addresses.project}/runs/{run}/events HTTP/1.1\r\n"
        f"Host: localhost\r\n{credential or addresses.header}\r\n"
    ).encode()
    for number in range(extent.rounds):
        before = _p99(reading(addresses, some_seconds(extent.seconds)))
        viewers = Viewers(addresses.installation.port, request, extent.viewers)
        with viewers.joining():
            while_joining = reading(addresses, viewers.have_joined)
            with_them = reading(addresses, some_seconds(extent.seconds))
        joining.append((_p99(while_joining), before))
        staying.append((_p99(with_them), before))
        name = f"{extent.viewers} viewers joined, round {number + 1}"
        print(
            f"{name:{WIDTH}} {viewers.all_joined_after:10.2f} s, {len(while_joining)} GETs beside"
        )
    show("p99 of GET while they join", joining, "ms")
    show("p99 of GET with them", staying, "ms")


def _p99(seconds: Sequence[float]) -> float:
    return percentile(seconds, 99) * 1e3


def statements(here: Installation, run_id: str, viewers: int, seconds: float) -> float:
    """How many a second this many viewers cost, without those of their joining."""
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    hub = Hub(here, look)
    joined = [hub.join(run_id, f"token {n % 4}", Place(), lambda: None) for n in range(viewers)]
    following = [threading.Thread(target=lambda v=v: [*v.events()]) for v in joined]
    for one in following:
        one.start()
    event.listen(here.database.engine, "before_cursor_execute", counted)
    time.sleep(seconds)
    event.remove(here.database.engine, "before_cursor_execute", counted)
    for viewer in joined:
        viewer.stop()
        hub.leave(viewer)
    for one in following:
        one.join()
    return count / seconds


def measure(folder: Path, extent: Extent) -> None:
    with installed.stateroom(folder, max_viewers=2 * extent.viewers) as installation:
        addresses = Addresses.create(installation, "bench", 1)
        headers = authorization(addresses) | {"Content-Type": "application/json"}
        document = bodies.structured(SIZE)
        answer = installation.wire.send("POST", addresses.path(0), document, headers)
        assert answer.status == 200, answer
        run = installation.api.post("/projects/bench/runs", workspace="w0", operation="plan")["id"]
        writer, reader = (installations.prepare(installation.configuration) for _ in range(2))
        with working(writer, run):
            beside_states(addresses, run, extent)
            found = [
                (
                    statements(reader, run, extent.viewers, extent.seconds),
                    statements(reader, run, 1, extent.seconds),
                )
                for _ in range(extent.rounds)
            ]
        show(f"statements for {extent.viewers} viewers, for 1", found, "/s", "<= 1.2")
        for here in (writer, reader):
            here.database.close()


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--viewers", type=int, help="how many there are")
    given: argparse.Namespace = parser.parse_args()
    extent = Extent(viewers=20, seconds=1.0, rounds=1) if given.quick else Extent()
    chosen = {"viewers": given.viewers, "rounds": given.rounds}
    with installed.scratch() as folder:
        measure(folder, replace(extent, **{name: n for name, n in chosen.items() if n}))


if __name__ == "__main__":
    main()
