"""More than a run may take: each of these ends it."""

from __future__ import annotations

import os
import sys
import time


def take_memory(amount: int) -> None:
    """Three processes, each of which takes a third."""
    children = [pid for _ in range(3) if (pid := os.fork())]
    if len(children) < 3:
        held = [bytearray(os.urandom(4096) * 256) for _ in range(amount // 3 >> 20)]
        time.sleep(20)
        os._exit(len(held) == 0)
    ended = [os.waitpid(pid, 0)[1] for pid in children]
    sys.exit(any(ended))


def take_processes(amount: int) -> None:
    """A bomb that goes out: a bounded number of processes that end by themselves."""
    refused = 0
    for _ in range(amount):
        try:
            if os.fork() == 0:
                time.sleep(10)
                os._exit(0)
        except OSError:
            refused += 1
            time.sleep(0.01)
    sys.exit(f"{refused} processes were refused." if refused else 0)


def take_disk(amount: int) -> None:
    block = b"x" * (1 << 20)
    with open("large", "wb", buffering=0) as file:
        file.writelines(block for _ in range(amount >> 20))
    time.sleep(60)


def take_cpu(amount: int) -> None:
    end = time.monotonic() + amount
    while time.monotonic() < end:
        pass


TAKEN = {
    "memory": take_memory,
    "processes": take_processes,
    "disk": take_disk,
    "cpu": take_cpu,
}
