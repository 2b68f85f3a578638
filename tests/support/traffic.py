"""Clients that write states and read them back while a test does something to the server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.documents import state_document
from tests.support.place import Place
from tests.support.state_address import StateAddress

LARGE = 1_200_000  # bytes: a file
EVERY_SO_OFTEN = 15  # one in so many is large


@dataclass
class Traffic:
    """What was acknowledged, by address, in order; and everything that went wrong."""

    addresses: list[StateAddress]
    written: dict[str, list[bytes]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def wait_for(self, more: int) -> None:
        """Until every client has written so many more."""
        goal = {path: len(found) + more for path, found in self.written.items()}
        while not self._stopped.wait(0.02):
            if self.problems or all(len(self.written[path]) >= goal[path] for path in goal):
                return

    def acknowledged(self) -> dict[str, list[bytes]]:
        return {path: list(found) for path, found in self.written.items()}

    def write(self, address: StateAddress) -> None:
        """Write versions 1, 2, 3 …, and read each back."""
        done = self.written[address.path]
        while not self._stopped.is_set():
            serial = len(done) + 1
            size = LARGE if serial % EVERY_SO_OFTEN == 0 else 3000
            body = state_document(serial, lineage=address.path, size=size)
            answer = address.write(body)
            if answer.status != 200:
                self.problems.append(f"write {serial}: {answer}")
                return
            done.append(body)
            back = address.read()
            if (back.status, back.body) != (200, body):
                self.problems.append(f"read {serial}: {back.status} {back.body[:200]!r}")
                return


@contextmanager
def traffic(place: Place, clients: int = 3) -> Iterator[Traffic]:
    """Clients that write as fast as they can, each to a workspace of its own."""
    addresses = [place.another_workspace() for _ in range(clients)]
    going = Traffic(addresses, {address.path: [] for address in addresses})
    threads = [threading.Thread(target=going.write, args=(address,)) for address in addresses]
    for thread in threads:
        thread.start()
    try:
        going.wait_for(1)
        yield going
    finally:
        going._stopped.set()
        for thread in threads:
            thread.join()
    assert going.problems == []
