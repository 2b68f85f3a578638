"""The WSGI server: gunicorn with gevent, so that slow uploads do not block other requests.

Bodies are not buffered, in memory or on disk: the application reads them as they arrive.
"""

from __future__ import annotations

import fcntl
import logging
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from gevent import Greenlet, Timeout
from gunicorn import util
from gunicorn.app.base import BaseApplication
from gunicorn.http.errors import ParseException
from gunicorn.workers.base_async import AsyncWorker
from gunicorn.workers.ggevent import GeventWorker

from backend.config import Settings, WrongSetting

CONNECTIONS = 1000  # per process
BACKLOG = 1024
STALLED_SECONDS = 300.0  # a connection without any byte for this long is closed
HEARTBEAT_SECONDS = 120  # a process whose event loop is blocked for this long is replaced
IDLE_SECONDS = 75  # longer than a reverse proxy keeps its idle connections
GRACE_SECONDS = 30  # time for requests to finish when the server stops
FINISH_SECONDS = 1.0
FINISH_BYTES = 64 * 1024
LINGER_SECONDS = 5.0
LINGER_BYTES = 1 << 30


def listen(settings: Settings) -> socket.socket:
    """Open the listening socket. The port 0 takes a free one. Raises WrongSetting."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server(
            (settings.host, settings.port), family=family, backlog=BACKLOG
        )
    except OSError as error:
        name = "STATEROOM_HOST" if isinstance(error, socket.gaierror) else "STATEROOM_PORT"
        reason = error.strerror
        if error.errno and not isinstance(error, socket.gaierror):
            reason = os.strerror(error.errno)
        raise WrongSetting(
            f"{name}: cannot listen on {settings.host}:{settings.port}: {reason}"
        ) from None
    # accepted connections inherit these, which find clients that vanished without closing
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    return listener


def serve(settings: Settings, application: Callable[[], Any], listener: socket.socket) -> None:
    """Answer requests until SIGTERM (which lets requests finish) or SIGINT. Does not return.

    `application` creates the WSGI application, once in each process. The caller must patch the
    standard library for gevent before it imports anything else.
    """
    _Server(settings, application, listener.detach()).run()


def stop_at_end_of_input() -> None:
    """Send this process SIGTERM when the last writer of its standard input has closed it."""
    stdin = sys.stdin.fileno()
    fcntl.fcntl(stdin, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(stdin, fcntl.F_SETSIG, signal.SIGTERM)
    fcntl.fcntl(stdin, fcntl.F_SETFL, fcntl.fcntl(stdin, fcntl.F_GETFL) | os.O_ASYNC)
    already = select.poll()
    already.register(stdin, 0)
    if already.poll(0):
        os.kill(os.getpid(), signal.SIGTERM)


class _Server(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    def __init__(self, settings: Settings, application: Callable[[], Any], fd: int) -> None:
        self._settings, self._application, self._fd = settings, application, fd
        super().__init__()

    def load_config(self) -> None:
        given = {
            "bind": f"fd://{self._fd}",
            "backlog": BACKLOG,
            "workers": self._settings.server_processes,
            "worker_class": "backend.web.serve.Worker",
            "worker_connections": CONNECTIONS,
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108 the heartbeat must not wait for a disk
            "timeout": HEARTBEAT_SECONDS,
            "graceful_timeout": GRACE_SECONDS,
            "keepalive": IDLE_SECONDS,
            # the public address is a setting, which no header may change
            "forwarded_allow_ips": "",
            "proxy_allow_ips": "",
            "control_socket_disable": True,
            "errorlog": None,
            "loglevel": "warning",
            "on_starting": _log_like_everyone,
        }
        for name, value in given.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._application()


def _log_like_everyone(_arbiter: object) -> None:
    logging.getLogger("gunicorn.error").propagate = True


class Worker(GeventWorker):  # type: ignore[misc] # gunicorn has no types
    """gevent's worker that also closes stalled and idle connections, and delivers early answers."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._idle: dict[Greenlet, Timeout] = {}

    @contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """Limits the wait for the next request of a connection."""
        here = gevent.getcurrent()
        with Timeout(IDLE_SECONDS, False) as self._idle[here]:
            try:
                yield
            finally:
                del self._idle[here]

    def notify(self) -> None:
        """Called each second. When the server stops, it closes connections without a request."""
        super().notify()
        if not self.alive:
            for waiting, timeout in list(self._idle.items()):
                waiting.kill(timeout, block=False)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        client.settimeout(STALLED_SECONDS)
        AsyncWorker.handle(self, listener, client, addr)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Answer one request. If much of its body was not read, close the connection afterwards.

        Closing with unread bytes sends a reset, which can overtake the answer. So first shut down
        the sending side, then read what the client has already sent.
        """
        last = False
        try:
            super().handle_request(listener_name, req, sock, addr)
        except StopIteration:
            last = True
        if not _finish(req.body, sock):
            util.close_graceful(sock, LINGER_SECONDS, LINGER_BYTES)
            last = True
        if last:
            raise StopIteration


def _finish(body: Any, sock: Any) -> bool:
    """Read the rest of a body. Returns False if it is long, or does not arrive."""
    if not _is_unread(body.reader):
        return True
    try:
        sock.settimeout(FINISH_SECONDS)
        body.read(FINISH_BYTES)
        sock.settimeout(STALLED_SECONDS)
    except (OSError, ParseException):
        return False
    return not _is_unread(body.reader)


def _is_unread(reader: Any) -> bool:
    left = getattr(reader, "length", None)  # of a body with Content-Length
    if left is None:
        left = getattr(reader, "parser", None) is not None  # of a chunked one
    return bool(left)
