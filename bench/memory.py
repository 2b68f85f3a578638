"""What one state of 100 MB costs: memory of the server, and time.

Memory is the peak that one POST or GET adds to the idle process that answers. Time is compared with
a copy of the same bytes over the loopback interface, with MD5 and fsync.
"""

from __future__ import annotations

import argparse
import itertools
import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import bodies, installed, yardstick
from bench.installed import Addresses
from bench.rounds import WIDTH, interleaved, options, show
from bench.yardstick import Connection, Step, Yardstick
from tests.support.stateroom import Stateroom

SIZE, QUICK_SIZE = 100_000_000 - 10_000, 5_000_000  # with its heading just below the limit
KINDS: dict[str, Callable[[int], bytes]] = {
    "compressible": bodies.structured,
    "incompressible": bodies.incompressible,
}
GOAL_MB = 32
_MB = 1e6


class Memory:
    """The memory of one process, in bytes. Its peak can be reset."""

    def __init__(self, process: psutil.Process) -> None:
        self._folder = Path(f"/proc/{process.pid}")
        self._process = process

    def resident(self) -> int:
        return int(self._process.memory_info().rss)

    def proportional(self) -> int:
        """The PSS, in which memory that is shared with others counts in part."""
        return self._kilobytes("smaps_rollup", "Pss") * 1024

    def peak(self) -> int:
        return self._kilobytes("status", "VmHWM") * 1024

    def forget_peak(self) -> None:
        (self._folder / "clear_refs").write_text("5")

    def _kilobytes(self, file: str, name: str) -> int:
        text = (self._folder / file).read_text(encoding="ascii")
        found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
        assert found, f"no {name} in {file}"
        return int(found[1])


class Transfer:
    """Sends one state to Stateroom or to the yardstick, and reads it back."""

    def __init__(self, addresses: Addresses, stick: Yardstick, file: Path, at: int) -> None:
        self._addresses, self._stick = addresses, stick
        self._file, self._at = str(file), at
        self._serials = itertools.count(bodies.FIRST_SERIAL + 1)

    def post(self) -> float:
        return self._ours(Step("POST", self._addresses.path(0), self._file, self._at))

    def get(self) -> float:
        return self._ours(Step("GET", self._addresses.path(0)))

    def post_theirs(self) -> float:
        return self._theirs(Step("POST", "/md5/state", self._file, self._at))

    def get_theirs(self) -> float:
        return self._theirs(Step("GET", "/md5/state"))

    def _ours(self, step: Step) -> float:
        addresses = self._addresses
        return self._seconds(addresses.installation.port, step, addresses.header)

    def _theirs(self, step: Step) -> float:
        return self._seconds(self._stick.port, step, "")

    def _seconds(self, port: int, step: Step, header: str) -> float:
        only = Connection([step], 1, next(self._serials))
        return self._stick.load(port, [only], header).latencies[0]


def show_idle(memory: Memory) -> None:
    name = "the idle process"
    resident, proportional = memory.resident() / _MB, memory.proportional() / _MB
    print(f"{name:{WIDTH}} {resident:10.1f} MB resident, {proportional:.1f} MB proportional")


def show_growth(name: str, memory: Memory, work: Callable[[], object], rounds: int) -> None:
    """By how much the work makes the process grow, at the peak and afterwards."""
    grown, kept = [], []
    for _ in range(rounds):
        memory.forget_peak()
        before, shared_before = memory.resident(), memory.proportional()
        work()
        grown.append((memory.peak() - before) / _MB)
        kept.append((memory.proportional() - shared_before) / _MB)
    print(
        f"{name:{WIDTH}} {max(grown):+10.1f} MB at its peak (median {statistics.median(grown):+.1f}"
        f"), {kept[-1]:+.1f} MB after the last  goal <= {GOAL_MB}",
        flush=True,
    )


def measure(
    installation: Stateroom, stick: Yardstick, folder: Path, size: int, rounds: int
) -> None:
    memory = Memory(installed.serving(installation))
    warm = _transfer(installation, stick, folder, "warm", bodies.structured(100_000))
    warm.post()
    warm.get()
    show_idle(memory)
    for kind, made in KINDS.items():
        transfer = _transfer(installation, stick, folder, kind, made(size))
        label = f"{round(size / _MB)} MB {kind}"
        show_growth(f"memory of POST, {label}", memory, transfer.post, rounds)
        show_growth(f"memory of GET, {label}", memory, transfer.get, rounds)
        posts = interleaved(transfer.post, transfer.post_theirs, rounds)
        show(f"POST, {label}", [_in_ms(pair) for pair in posts], "ms", "<= 2")
        gets = interleaved(transfer.get, transfer.get_theirs, rounds)
        show(f"GET, {label}", [_in_ms(pair) for pair in gets], "ms", "<= 2")


def _transfer(
    installation: Stateroom, stick: Yardstick, folder: Path, name: str, body: bytes
) -> Transfer:
    file = folder / name
    file.write_bytes(body)
    addresses = Addresses.create(installation, name, 1)
    return Transfer(addresses, stick, file, bodies.serial_at(body))


def _in_ms(pair: tuple[float, float]) -> tuple[float, float]:
    return pair[0] * 1e3, pair[1] * 1e3


def main() -> None:
    given = _given()
    rounds = given.rounds or (1 if given.quick else 5)
    size = QUICK_SIZE if given.quick else SIZE
    with (
        installed.scratch() as folder,
        yardstick.running(folder / "yardstick") as stick,
        installed.stateroom(folder) as installation,
    ):
        measure(installation, stick, folder, size, rounds)


def _given() -> argparse.Namespace:
    return options(__doc__).parse_args()


if __name__ == "__main__":
    main()
