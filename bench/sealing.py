"""The pipeline of a state body, compared with a copy, an MD5 and an fsync of the same bytes.

    python bench/sealing.py [rounds]

Both take the same pieces from memory, in turns, without network and database. They run under
gevent, as in the server.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gevent.monkey

sys.path.insert(0, str(Path(__file__).parents[1]))

from backend.documents.intake import PIECE, download, receive
from backend.sealing.blobs import Blobs
from backend.sealing.crypto import Keyring, bind
from bench.bodies import incompressible, structured

LIMIT = 200_000_000
AAD = bind("state", "st_1", 1)


def copy(body: bytes, folder: Path) -> None:
    source, md5 = io.BytesIO(body), hashlib.md5(usedforsecurity=False)
    with (folder / "copy").open("wb", buffering=0) as file:
        while piece := source.read(PIECE):
            md5.update(piece)
            file.write(piece)
        os.fsync(file.fileno())


def read_copy(_body: bytes, folder: Path) -> None:
    md5 = hashlib.md5(usedforsecurity=False)
    with (folder / "copy").open("rb", buffering=0) as file:
        while piece := file.read(PIECE):
            md5.update(piece)


class Pipeline:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blobs = Blobs(folder / "blobs")
        self._keyring = Keyring.create(folder / "keyring")

    def write(self, body: bytes, folder: Path) -> None:
        self._received = receive(io.BytesIO(body), LIMIT, self._blobs, declared=len(body))
        self._envelope = self._keyring.wrap(self._received.data_key, AAD)
        if self._received.ciphertext is not None:  # instead of the row in the database
            with (folder / "row").open("wb", buffering=0) as file:
                file.write(self._received.ciphertext)
                os.fsync(file.fileno())

    def read(self, _body: bytes, _folder: Path) -> None:
        data_key = self._keyring.unwrap(self._envelope, AAD)
        received = self._received
        for _ in download(data_key, received.ciphertext, received.blob, self._blobs):
            pass


def seconds(work: Callable[[bytes, Path], None], body: bytes, folder: Path) -> float:
    start = time.perf_counter()
    work(body, folder)
    return time.perf_counter() - start


def compare(name: str, body: bytes, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        pipeline = Pipeline(folder)
        pairs = (("write", pipeline.write, copy), ("read", pipeline.read, read_copy))
        for verb, ours, theirs in pairs:
            times = [
                (seconds(ours, body, folder), seconds(theirs, body, folder)) for _ in range(rounds)
            ]
            show(f"{verb} {name}", times)


def show(name: str, times: list[tuple[float, float]]) -> None:
    ratios = [ours / theirs for ours, theirs in times]
    ours, theirs = (statistics.median(column) * 1000 for column in zip(*times, strict=True))
    print(
        f"{name:28} {ours:9.2f} ms against {theirs:9.2f} ms, ratio min {min(ratios):.2f} "
        f"median {statistics.median(ratios):.2f} max {max(ratios):.2f}"
    )


class Incompressible:
    """A stream of 100 MB that is never completely in memory."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._start = b'{"serial": 1, "lineage": "a", "encrypted_data": "'

    def read(self, size: int, /) -> bytes:
        if self._start:
            piece, self._start = self._start, b""
            return piece
        if self._left < 0:
            return b""
        self._left -= size
        return b'"}' if self._left < 0 else base64.b64encode(os.urandom(size))[:size]


def peak_kib() -> int:
    """The peak memory of this process. ru_maxrss would include that of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0])


def grown(size: int) -> None:
    """Print by how much one POST and GET make this process grow."""
    with tempfile.TemporaryDirectory() as scratch:
        blobs = Blobs(Path(scratch) / "blobs")
        before = peak_kib()
        received = receive(Incompressible(size), LIMIT, blobs)
        for _ in download(received.data_key, received.ciphertext, received.blob, blobs):
            pass
        grown_kib = peak_kib() - before
    print(f"{'memory of 100 MB':28} {grown_kib / 1024:9.1f} MB above the idle process")


def main() -> None:
    gevent.monkey.patch_all()
    if sys.argv[1:] == ["memory"]:
        grown(100_000_000)
        return
    rounds = int(sys.argv[1]) if sys.argv[1:] else 9
    compare("100 KB structured", structured(100_000), rounds * 20)
    compare("100 MB structured", structured(100_000_000), rounds)
    compare("100 MB incompressible", incompressible(100_000_000), rounds)
    subprocess.run([sys.executable, __file__, "memory"], check=True)


if __name__ == "__main__":
    main()
