"""An ssh agent inside this process: it signs for the commands that it is for, and nobody else.

A socket with a path can be connected to by every process of the user, and Landlock does not govern
that. So the kernel is asked which process is at the other end, and whoever does not belong here is
hung up on. No other process has the keys, and there is no socket that leads past this door.

Of the agent protocol there are two requests: which keys there are, and to sign. Everything else
(add, remove, lock, extensions) is refused; ssh goes on without its extension `session-bind`.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import selectors
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm

from runner.sources.ssh_key import OpenKey, string

log = logging.getLogger(__name__)

_FAILURE, _WHICH_KEYS, _THESE_KEYS, _SIGN, _SIGNED = 5, 11, 12, 13, 14
_LONGEST = 1 << 16  # bytes of a request; that of a login has one or two thousand
_MOST_CONNECTIONS = 16
_READ_BYTES = 1 << 16
_PEERCRED = struct.Struct("iII")
_SO_PEERPIDFD = 77  # since Linux 6.5

Admits = Callable[[int], bool]


@contextlib.contextmanager
def listening(
    path: Path, keys: Sequence[OpenKey], admits: Admits, owner: int | None = None
) -> Iterator[None]:
    """Sign with these keys for as long as the block runs, for processes that `admits` says yes to.

    It gets a pid. `owner` is the user who may connect, if not this one. Raises OSError.
    """
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        if owner is not None:
            os.chown(path, owner, -1)
        listener.listen(_MOST_CONNECTIONS)
        listener.setblocking(False)
        ending, end = socket.socketpair()
        with ending, end:
            door = _Door(listener, ending, keys, admits, {os.geteuid(), owner})
            thread = threading.Thread(target=door.serve, name="ssh-agent", daemon=True)
            thread.start()
            try:
                yield
            finally:
                end.close()
                thread.join()


class _Door:
    def __init__(
        self,
        listener: socket.socket,
        ending: socket.socket,
        keys: Sequence[OpenKey],
        admits: Admits,
        users: set[int | None],
    ) -> None:
        self._listener, self._ending = listener, ending
        self._keys, self._admits, self._users = keys, admits, users
        self._heard: dict[socket.socket, bytearray] = {}
        self._selector = selectors.DefaultSelector()
        self._has_refused = False

    def serve(self) -> None:
        """Answer until the other end of `ending` is closed."""
        try:
            with self._selector:
                self._selector.register(self._ending, selectors.EVENT_READ)
                self._selector.register(self._listener, selectors.EVENT_READ)
                while self._serve_once():
                    pass
        finally:  # whatever happened: nobody waits for an answer that will not come
            self._listener.close()
            for peer in self._heard:
                peer.close()

    def _serve_once(self) -> bool:
        ready = [key.fileobj for key, _ in self._selector.select()]
        for who in ready:
            if who is self._ending:
                return False
            if who is self._listener:
                self._accept()
            elif isinstance(who, socket.socket) and not self._answer(who):
                self._hang_up(who)
        return True

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            peer, _ = self._listener.accept()
            if not self._is_admitted(peer):
                peer.close()
                return
            peer.setblocking(False)
            self._heard[peer] = bytearray()
            self._selector.register(peer, selectors.EVENT_READ)
            if len(self._heard) == _MOST_CONNECTIONS:  # the next one waits
                self._selector.unregister(self._listener)

    def _hang_up(self, peer: socket.socket) -> None:
        self._selector.unregister(peer)
        del self._heard[peer]
        peer.close()
        if len(self._heard) == _MOST_CONNECTIONS - 1:
            self._selector.register(self._listener, selectors.EVENT_READ)

    def _is_admitted(self, peer: socket.socket) -> bool:
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size)
        pid, user, _ = _PEERCRED.unpack(credentials)
        is_one = False
        if pid and user in self._users:  # a pid is 0 where it is none of this namespace
            with contextlib.suppress(OSError), _pidfd(peer, pid) as pidfd:
                is_one = self._admits(pid) and _lives(pidfd)
        if not is_one and not self._has_refused:
            self._has_refused = True
            log.warning("ssh agent refused a process", extra={"pid": pid, "user": user})
        return is_one

    def _answer(self, peer: socket.socket) -> bool:
        """Answer what the peer has asked; whether to go on listening to it."""
        try:
            said = peer.recv(_READ_BYTES)
            heard = self._heard[peer]
            heard += said
            for request in _requests(heard):
                answer = string(self._answered(request))
                if peer.send(answer) != len(answer):
                    return False
        except (OSError, ValueError):  # gone, asks without listening, or speaks something else
            return False
        return bool(said)

    def _answered(self, request: bytes) -> bytes:
        kind, rest = request[0], memoryview(request)[1:]
        if kind == _WHICH_KEYS and not rest:
            listed = [string(key.public) + string(b"") for key in self._keys]
            return bytes([_THESE_KEYS]) + len(listed).to_bytes(4, "big") + b"".join(listed)
        if kind == _SIGN:
            with contextlib.suppress(ValueError, UnsupportedAlgorithm):
                return bytes([_SIGNED]) + string(self._signed(rest))
        return bytes([_FAILURE])

    def _signed(self, rest: memoryview) -> bytes:
        """Raises ValueError and UnsupportedAlgorithm."""
        public, rest = _taken(rest)
        data, rest = _taken(rest)
        key = next((key for key in self._keys if key.public == public), None)
        if key is None or len(rest) != 4:
            raise ValueError("no such key, or no such request")
        return key.sign(data, int.from_bytes(rest, "big"))


def _requests(heard: bytearray) -> Iterator[bytes]:
    """The whole requests that were heard, which are taken out. Raises ValueError."""
    while len(heard) >= 4:
        length = int.from_bytes(heard[:4], "big")
        if not 0 < length <= _LONGEST:
            raise ValueError("not a request")
        if len(heard) < 4 + length:
            return
        request = bytes(heard[4 : 4 + length])
        del heard[: 4 + length]
        yield request


def _taken(rest: memoryview) -> tuple[bytes, memoryview]:
    """A string, and what follows it. Raises ValueError."""
    length = int.from_bytes(rest[:4], "big")
    if len(rest) < 4 + length:
        raise ValueError("a string is longer than its message")
    return bytes(rest[4 : 4 + length]), rest[4 + length :]


@contextlib.contextmanager
def _pidfd(peer: socket.socket, pid: int) -> Iterator[int]:
    """The process at the other end, also where its number was given away. Raises OSError."""
    try:
        pidfd = peer.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            raise
        pidfd = os.pidfd_open(pid)
    try:
        yield pidfd
    finally:
        os.close(pidfd)


def _lives(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return not poll.poll(0)
