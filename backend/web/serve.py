"""The WSGI server: gunicorn with gevent, so that slow uploads do not block other requests.

Bodies are not buffered, in memory or on disk: the application reads them as they arrive.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import gevent
from gunicorn import util
from gunicorn.app.base import BaseApplication
from gunicorn.http.errors import ParseException
from gunicorn.workers.base_async import AsyncWorker
from gunicorn.workers.ggevent import GeventWorker

from backend.config import Settings, WrongSetting
from backend.web.connections import Connection, Connections, Limits

CONNECTIONS = 1000  # per process
LOBBY = 50  # on top of them, for /healthz
FILES = 512  # that a process may have open beside its connections
HEADER_SECONDS = 20.0  # for the headers of a request, from its first byte on
BACKLOG = 1024
STALLED_SECONDS = 300.0  # a connection without any byte for this long is closed
HEARTBEAT_SECONDS = 120  # a process whose event loop is blocked for this long is replaced
IDLE_SECONDS = 75  # longer than a reverse proxy keeps its idle connections
GRACE_SECONDS = 30  # time for requests to finish when the server stops
FINISH_SECONDS = 1.0
FINISH_BYTES = 64 * 1024
LINGER_SECONDS = 5.0
LINGER_BYTES = 1 << 30
HEALTH = "/healthz"


class AddressInUse(WrongSetting):
    """Somebody listens there already."""


def listen(settings: Settings) -> socket.socket:
    """Open the listening socket. The port 0 takes a free one.

    Raises WrongSetting, and AddressInUse, which is one.
    """
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
        fault = AddressInUse if error.errno == errno.EADDRINUSE else WrongSetting
        raise fault(f"{name}: cannot listen on {settings.host}:{settings.port}: {reason}") from None
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
    _allow_files(settings.max_viewers)
    _Server(settings, application, listener.detach()).run()


def _allow_files(streams: int) -> None:
    """Raise the limit of open files, which is often just below the number of connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * (CONNECTIONS + LOBBY) + streams + FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


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
            # those that have been ended, but not closed yet, count too
            "worker_connections": 2 * (CONNECTIONS + LOBBY) + self._settings.max_viewers,
            "post_worker_init": self._limit,
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

    def _limit(self, worker: Worker) -> None:
        total, each = CONNECTIONS, self._settings.connections_per_address
        worker.connections = Connections(
            Limits(total, min(each, total), LOBBY, HEADER_SECONDS, IDLE_SECONDS)
        )


def _log_like_everyone(_arbiter: object) -> None:
    logging.getLogger("gunicorn.error").propagate = True


class Worker(GeventWorker):  # type: ignore[misc] # gunicorn has no types
    """gevent's worker that also limits and closes connections, and delivers early answers."""

    connections: Connections

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._served: dict[object, Connection] = {}  # by the greenlet that serves it

    def timeout_ctx(self) -> Connection:
        """Entered while the current greenlet waits for the next request of its connection."""
        return self._served[gevent.getcurrent()]

    def notify(self) -> None:
        """Called each second. When the server stops, it ends streams and waiting connections."""
        super().notify()
        self.connections.end_late()
        if not self.alive:
            self.connections.end_waiting()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        connection = self.connections.let_in(client, addr[0])
        if connection is None:
            client.close()
            return
        client.settimeout(STALLED_SECONDS)
        here = gevent.getcurrent()
        self._served[here] = connection
        try:
            AsyncWorker.handle(self, listener, connection, addr)
        finally:
            del self._served[here]
            self.connections.leave(connection)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Answer one request. If much of its body was not read, close the connection afterwards.

        Closing with unread bytes sends a reset, which can overtake the answer. So first shut down
        the sending side, then read what the client has already sent.
        """
        if sock.is_ended:  # its headers were complete just then, but its body would be cut
            raise StopIteration
        last = sock.is_in_lobby
        try:
            if last and req.path != HEALTH:
                sock.sendall(_FULL)
            else:
                super().handle_request(listener_name, req, sock, addr)
        except StopIteration:
            last = True
        if sock.stop is not None:  # it has no place for another request
            last = True
        if not _finish(req.body, sock):
            util.close_graceful(sock, LINGER_SECONDS, LINGER_BYTES)
            last = True
        if last:
            raise StopIteration


def _full() -> bytes:
    detail = "All connections to this server, or those of your address, are in use. Try again."
    body = json.dumps(
        {"type": "about:blank", "title": "Service Unavailable", "status": 503, "code": "busy",
         "detail": detail}
    ).encode()  # fmt: skip
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\nRetry-After: 2\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


_FULL = _full()


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
