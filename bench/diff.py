"""Comparing two states of 10 MB, against json.loads of both and a comparison of the dicts.

It is done once with one changed resource in a hundred, as after an apply, and once with all of them
changed. Memory is the peak that a comparison adds to a process that has both documents.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from backend.documents import diff
from bench import bodies
from bench.rounds import WIDTH, interleaved, options, show, timed

SIZE, QUICK_SIZE = 10_000_000, 500_000
EVERY = {"1 of 100 changed": 100, "all changed": 1}
GOALS = {"1 of 100 changed": "<= 1"}
Compare = Callable[[bytes, bytes], int]


def changed(body: bytes, every: int) -> bytes:
    """The same state after an apply that changed two attributes of every nth resource."""
    document = json.loads(body)
    for resource in document["resources"][::every]:
        attributes = resource["instances"][0]["attributes"]
        attributes["tags"]["Owner"] = "somebody"
        attributes["ports"][0] += 1
    return json.dumps(document, indent=2).encode()


def ours(before: bytes, after: bytes) -> int:
    return sum(len(resource.changes) for resource in diff.diff(before, after).changed)


def plain(before: bytes, after: bytes) -> int:
    """The simplest comparison, without addresses and masking."""
    old, new = (json.loads(body)["resources"] for body in (before, after))
    pairs = zip(old, new, strict=True)
    return sum(
        1 for left, right in pairs for _ in _different(left["instances"], right["instances"])
    )


def _different(left: Any, right: Any) -> Iterator[None]:
    if isinstance(left, dict) and isinstance(right, dict):
        for name in left.keys() | right.keys():
            yield from _different(left.get(name), right.get(name))
    elif isinstance(left, list) and isinstance(right, list) and left and right:
        for one, other in zip(left, right, strict=False):
            yield from _different(one, other)
    elif left != right:
        yield None


def compare(name: str, before: bytes, after: bytes, rounds: int) -> None:
    assert ours(before, after) > 0
    found = interleaved(
        lambda: timed(lambda: ours(before, after)) * 1e3,
        lambda: timed(lambda: plain(before, after)) * 1e3,
        rounds,
    )
    show(f"diff, {name}", found, "ms", GOALS.get(name, ""))


def show_growth(name: str, before: bytes, after: bytes) -> None:
    grown = [_grown(work, before, after) / 1e6 for work in (ours, plain)]
    print(
        f"{f'memory of it, {name}':{WIDTH}} {grown[0]:10.1f} against {grown[1]:10.1f} MB   "
        f" ratio {grown[0] / grown[1]:.2f}",
        flush=True,
    )


def _grown(work: Compare, before: bytes, after: bytes) -> float:
    """The bytes that it takes in a new process, which has not compared anything yet."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=_measure, args=(there, work, before, after))
    child.start()
    found: float = here.recv()
    child.join()
    return max(found, 1.0)


def _measure(there: Any, work: Compare, before: bytes, after: bytes) -> None:
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    at_rest = _kilobytes("VmRSS")
    work(before, after)
    there.send((_kilobytes("VmHWM") - at_rest) * 1024)


def _kilobytes(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def main() -> None:
    given = options(__doc__).parse_args()
    rounds = given.rounds or (1 if given.quick else 9)
    before = bodies.structured(QUICK_SIZE if given.quick else SIZE)
    for name, every in EVERY.items():
        after = changed(before, every)
        compare(name, before, after, rounds)
        show_growth(name, before, after)


if __name__ == "__main__":
    main()
