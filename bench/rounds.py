"""Measure both sides in turns, so that a busy machine slows both, and print ratios."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

WIDTH = 34


def options(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options of every bench."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few seconds: does it still run?")
    parser.add_argument("--rounds", type=int, help="how often both sides are measured")
    return parser


def interleaved(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int
) -> list[tuple[float, float]]:
    """The results of both sides in each round. They take turns in being first."""
    found = []
    for number in range(rounds):
        if number % 2:
            other = theirs()
            found.append((ours(), other))
        else:
            mine = ours()
            found.append((mine, theirs()))
    return found


def show(name: str, found: Sequence[tuple[float, float]], unit: str, goal: str = "") -> None:
    """Print one line with both medians and the ratio of ours to theirs."""
    ours, theirs = (statistics.median(column) for column in zip(*found, strict=True))
    ratios = [mine / other for mine, other in found]
    aim = f"  goal {goal}" if goal else ""
    print(
        f"{name:{WIDTH}} {ours:10.1f} against {theirs:10.1f} {unit:4}  ratio min {min(ratios):.2f}"
        f" median {statistics.median(ratios):.2f} max {max(ratios):.2f}{aim}",
        flush=True,
    )


def show_times(name: str, seconds: Sequence[float], goal: str = "") -> None:
    """Print one line with the distribution of some times of ours."""
    aim = f"  goal {goal}" if goal else ""
    print(
        f"{name:{WIDTH}} min {min(seconds) * 1e3:8.1f} ms  p50 {percentile(seconds, 50) * 1e3:8.1f}"
        f" ms  p99 {percentile(seconds, 99) * 1e3:8.1f} ms  max {max(seconds) * 1e3:8.1f} ms"
        f"  ({len(seconds)} times){aim}",
        flush=True,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that this many percent do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
