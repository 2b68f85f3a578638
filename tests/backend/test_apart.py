"""Work in a process of its own has what it is given, its limits, and nothing of the server."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from backend import apart
from backend.apart import Budget, Exceeded
from backend.errors import Unavailable

MB = 1_000_000


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the module `work`."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "work.py"


def run(pieces: list[bytes], *, memory: int = 500 * MB, seconds: int = 20) -> bytes:
    return apart.run("work", pieces, memory=memory, seconds=seconds)


def test_it_reads_all_pieces_and_its_output_is_the_answer(module: Path) -> None:
    module.write_text("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1] + b'\\0')")

    assert run([b"ab" * MB, b"", b"c"]) == b"c" + b"ba" * MB


def test_it_inherits_no_file_and_no_secret(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATEROOM_TOKEN", "secret")
    module.write_text(
        textwrap.dedent("""
        import os
        print(sorted(os.listdir("/proc/self/fd"))[:3], len(os.listdir("/proc/self/fd")))
        print("STATEROOM_TOKEN" in os.environ, end="\\0")
        """)
    )
    inherited = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(inherited, True)

    said = run([]).decode().splitlines()

    os.close(inherited)
    assert said == ["['0', '1', '2'] 4", "False"]  # the fourth is the listing itself


@pytest.mark.parametrize(
    "work", ["bytearray(10**9)", "while True: pass", "raise SystemExit(1)", "1 / 0"]
)
def test_what_exceeds_its_limits_or_fails_has_no_answer(module: Path, work: str) -> None:
    module.write_text(f"import sys; sys.stderr = open('/dev/null', 'w')\nprint(1)\n{work}")

    with pytest.raises(Exceeded):
        run([b"x"], seconds=1)


def test_one_that_ends_before_it_has_read_everything_has_no_answer(module: Path) -> None:
    module.write_text("raise SystemExit(1)")

    with pytest.raises(Exceeded):
        run([b"x" * MB] * 20)


def test_an_error_while_reading_leaves_no_process(module: Path) -> None:
    module.write_text("import time; time.sleep(1000)")

    def pieces() -> Iterator[bytes]:
        yield b"x"
        raise KeyError

    with pytest.raises(KeyError):
        apart.run("work", pieces(), memory=500 * MB, seconds=1)

    children = psutil.Process().children()
    assert [child for child in children if child.cmdline()[-2:] == ["-m", "work"]] == []


def test_who_finds_no_memory_free_in_time_is_told_to_come_back() -> None:
    budget = Budget(seconds=0.05, refusal="Try again.")

    with budget.take(60, 100), budget.take(40, 100), pytest.raises(Unavailable) as refusal:  # noqa: SIM117
        with budget.take(1, 100):
            pass

    assert refusal.value.code == "busy"
    with budget.take(100, 100):
        pass
