"""Many clients at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

Found = TypeVar("Found")


def all_at_once(calls: Sequence[Callable[[], Found]]) -> list[Found]:
    start = Barrier(len(calls))

    def run(call: Callable[[], Found]) -> Found:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))
