"""The open connections of a server process: how many there may be, and which one has to go.

A connection that waits for its next request, or has sent half of its headers, is of least use: if
there are too many connections, of one address or of all, the one that waits for longest is closed.
If every one of them is being answered, a few more are let into the lobby, where only /healthz is
answered and everything else is refused for the moment. A connection whose answer goes on for as
long as a run (a stream of events) is set apart: what answers it limits how many there are.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

STREAM_SECONDS = 30.0  # a stream whose client reads nothing for this long is closed
_SUBNET = 64  # of IPv6: one customer has all addresses in it


@dataclass(frozen=True, slots=True)
class Limits:
    """`headers` and `idle` are seconds: from the first byte of a request, and between requests."""

    total: int
    per_address: int
    lobby: int
    headers: float
    idle: float


class Connection:
    """A client's socket, for gunicorn, which reads requests from it and writes the answers.

    It is entered while it waits for a request.
    """

    def __init__(self, sock: Any, address: str, leave: Callable[[Connection], None]) -> None:
        self.address = address
        self.stop: Callable[[], None] | None = None  # ends the stream that it has become
        self._leave = leave
        self.is_in_lobby = False
        self.is_ended = False
        self.waits_since: float | None = time.monotonic()  # None: a request is being answered
        self._began_at: float | None = None  # when the first byte of the request arrived
        self._sock = sock
        self.sendall, self.settimeout = sock.sendall, sock.settimeout  # used the most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, *given: Any) -> bytes:
        received: bytes = self._sock.recv(*given)
        if self._began_at is None and self.waits_since is not None:
            self._began_at = time.monotonic()
        return received

    def __enter__(self) -> None:
        self.waits_since, self._began_at = time.monotonic(), None

    def __exit__(self, *_raised: object) -> None:
        self.waits_since = None

    def is_late(self, now: float, limits: Limits) -> bool:
        if self.waits_since is None:
            return False
        if self._began_at is not None:
            return now - self._began_at > limits.headers
        return now - self.waits_since > (limits.headers if self.is_in_lobby else limits.idle)

    def set_apart(self, stop: Callable[[], None]) -> None:
        """Give its place to others: its answer is a stream, which `stop` ends, and the last one."""
        self.stop = stop
        self._leave(self)
        self.settimeout(STREAM_SECONDS)

    def end(self) -> None:
        """Let it end as if its client had closed it: whoever reads from it finds the end."""
        self.is_ended = True
        with contextlib.suppress(OSError):
            # not gevent's own shutdown, which raises an error in the greenlet that reads
            self._sock._sock.shutdown(socket.SHUT_RD)  # noqa: SLF001


class Connections:
    """The connections of this process."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._open: dict[Connection, None] = {}
        self._lobby: dict[Connection, None] = {}
        self._streams: dict[Connection, None] = {}
        self._of_address: Counter[str] = Counter()  # without the lobby

    def let_in(self, sock: Any, address: str) -> Connection | None:
        """A new connection, maybe in the lobby; None if there is no place left even there."""
        made = Connection(sock, _network(address), self._set_apart)
        if self._has_place(made.address):
            self._open[made] = None
            self._of_address[made.address] += 1
            return made
        made.is_in_lobby = True
        if len(self._lobby) >= self.limits.lobby and not self._end_one(self._lobby):
            return None
        self._lobby[made] = None
        return made

    def leave(self, connection: Connection) -> None:
        """Give its place to others. Harmless when it has left already."""
        self._lobby.pop(connection, None)
        self._streams.pop(connection, None)
        if connection in self._open:
            del self._open[connection]
            self._of_address[connection.address] -= 1
            if not self._of_address[connection.address]:
                del self._of_address[connection.address]

    def end_late(self) -> None:
        """End the connections that have waited for too long."""
        now = time.monotonic()
        for connection in (*self._open, *self._lobby):
            if connection.is_late(now, self.limits):
                connection.end()

    def end_waiting(self) -> None:
        """End the connections without a request, and the streams, because the server stops."""
        for connection in (*self._open, *self._lobby):
            if connection.waits_since is not None:
                connection.end()
        for connection in self._streams:
            if connection.stop is not None:
                connection.stop()

    def _set_apart(self, connection: Connection) -> None:
        self.leave(connection)
        self._streams[connection] = None

    def _has_place(self, address: str) -> bool:
        """Whether there is a place, maybe that of a connection that waited and is ended now."""
        if self._of_address[address] >= self.limits.per_address:
            return self._end_one(one for one in self._open if one.address == address)
        if len(self._open) >= self.limits.total:
            return self._end_one(self._open)
        return True

    def _end_one(self, among: Iterable[Connection]) -> bool:
        """End the one that waits for longest. Returns False when none waits."""
        waiting = (one for one in among if one.waits_since is not None)
        longest = min(waiting, key=lambda one: one.waits_since or 0.0, default=None)
        if longest is None:
            return False
        longest.end()
        self.leave(longest)
        return True


def _network(address: str) -> str:
    """What counts as one address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        if mapped is not None:
            return str(mapped)
        return str(ipaddress.ip_network((found, _SUBNET), strict=False))
    return address
