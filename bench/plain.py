"""The yardstick and its client in plain Python, for machines without Go.

python bench/plain.py serve FOLDER | load    as bench/reference/main.go, with the same JSON

The server reads a request from a raw socket, writes the body to a file and fsyncs it, with a thread
for each connection. The client has a process for each connection.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import multiprocessing
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import IOBase
from pathlib import Path
from typing import Any

PIECE = 1 << 18


def serve(folder: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    files = _Files(folder)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_answer_all, args=(client, files), daemon=True).start()


@dataclass
class _Files:
    """The newest file of each path."""

    folder: Path
    newest: dict[str, Path] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def take(self, path: str, length: int, stream: IOBase) -> None:
        place = self.folder / str(next(self.numbers))
        md5 = hashlib.md5(usedforsecurity=False) if path.startswith("/md5/") else None
        with place.open("wb", buffering=0) as file:
            while length:
                piece = stream.read(min(PIECE, length))
                length -= len(piece)
                if md5:
                    md5.update(piece)
                file.write(piece)
            os.fsync(file.fileno())
        before = self.newest.get(path)
        self.newest[path] = place
        if before:
            before.unlink()

    def give(self, path: str, client: socket.socket) -> None:
        with self.newest[path].open("rb") as file:
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {os.fstat(file.fileno()).st_size}\r\n\r\n"
            client.sendall(head.encode())
            if not path.startswith("/md5/"):
                client.sendfile(file)
                return
            md5 = hashlib.md5(usedforsecurity=False)
            while piece := file.read(PIECE):
                md5.update(piece)
                client.sendall(piece)


def _answer_all(client: socket.socket, files: _Files) -> None:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with client, client.makefile("rb", buffering=PIECE) as stream:
        while line := stream.readline():
            verb, target, _ = line.decode().split()
            path = target.partition("?")[0]
            length = int(_headers(stream).get("content-length", 0))
            if verb == "GET":
                files.give(path, client)
                continue
            files.take(path, length, stream)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def _headers(stream: IOBase) -> dict[str, str]:
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    return headers


def load(job: Mapping[str, Any]) -> dict[str, Any]:
    """Send everything, with a process and a connection for each list of steps."""
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(len(job["connections"]) + 1)
    with context.Pool(
        len(job["connections"]), initializer=_remember, initargs=(ready, job)
    ) as pool:
        sent = pool.map_async(_send, range(len(job["connections"])), chunksize=1)
        ready.wait()
        started = time.perf_counter()
        results = sent.get()
        seconds = time.perf_counter() - started
    statuses: Counter[str] = Counter()
    for _, counted in results:
        statuses.update(counted)
    return {
        "Seconds": seconds,
        "Latencies": [latency for latencies, _ in results for latency in latencies],
        "Statuses": statuses,
    }


_given: dict[str, Any] = {}


def _remember(ready: object, job: Mapping[str, Any]) -> None:
    _given.update(ready=ready, job=job)


def _send(number: int) -> tuple[list[float], Counter[str]]:
    job, connection = _given["job"], _given["job"]["connections"][number]
    first, times = connection["first"], connection["times"]
    steps = [_Step(step, first, times) for step in connection["steps"]]
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    with socket.create_connection(("127.0.0.1", job["port"])) as sender:
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sender.makefile("rb", buffering=PIECE) as stream:
            _given["ready"].wait()
            for turn in range(times):
                for step in steps:
                    head = step.head(job["header"], turn)
                    body = step.patched(first + turn)
                    started = time.perf_counter()
                    sender.sendall(head + body if len(body) < PIECE else head)
                    if len(body) >= PIECE:
                        sender.sendall(body)
                    statuses[_read_answer(stream)] += 1
                    latencies.append(time.perf_counter() - started)
    return latencies, statuses


def _read_answer(stream: IOBase) -> str:
    status = stream.readline().decode().split()[1]
    left = int(_headers(stream).get("content-length", 0))
    while left:
        left -= len(stream.read(min(PIECE, left)))
    return status


class _Step:
    def __init__(self, step: Mapping[str, Any], first: int, times: int) -> None:
        self._step = step
        self._body = bytearray(Path(step["body"]).read_bytes()) if step["body"] else bytearray()
        self._sums: list[str] = []
        for turn in range(times if step["patch_at"] >= 0 else 1):
            sum_ = hashlib.md5(self.patched(first + turn), usedforsecurity=False).digest()
            self._sums.append(base64.b64encode(sum_).decode())

    def patched(self, number: int) -> bytearray:
        at, digits = self._step["patch_at"], self._step["digits"]
        if at >= 0:
            self._body[at : at + digits] = f"{number:0{digits}}".encode()
        return self._body

    def head(self, header: str, turn: int) -> bytes:
        text = f"{self._step['verb']} {self._step['path']} HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}"
        if self._step["body"]:
            text += (
                f"Content-Type: application/json\r\nContent-Length: {len(self._body)}\r\n"
                f"Content-MD5: {self._sums[min(turn, len(self._sums) - 1)]}\r\n"
            )
        return f"{text}\r\n".encode()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(Path(sys.argv[2]))
    else:
        json.dump(load(json.load(sys.stdin)), sys.stdout)
