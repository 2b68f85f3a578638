"""A document on its way in and out: the same bytes, checked, sealed, in little memory."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.documents.heading import Heading
from backend.documents.intake import IN_COLUMN, PIECE, Received, download, receive
from backend.errors import Invalid, TooLarge, Unreadable
from backend.sealing.blobs import Blobs
from backend.sealing.frames import new_data_key
from tests.support.project import ROOT

MB = 1_000_000
LIMIT = 100 * MB


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


class Arriving:
    """A body that arrives as a socket gives it: in the given sizes, then in one rest."""

    def __init__(self, body: bytes, sizes: list[int] | None = None) -> None:
        self._file = io.BytesIO(body)
        self._sizes = iter(sizes or [])

    def read(self, size: int, /) -> bytes:
        return self._file.read(min(size, next(self._sizes, size)))

    @property
    def taken(self) -> int:
        return self._file.tell()


def state_of(size: int, serial: int = 7) -> bytes:
    """A state of exactly that many bytes that does not compress."""
    start = b'{"version": 4, "serial": %d, "lineage": "a", "x": "' % serial
    filling = b64encode(os.urandom(size))[: size - len(start) - 2]
    return start + filling + b'"}'


def with_last_byte_flipped(sealed: bytes) -> bytes:
    return sealed[:-1] + bytes([sealed[-1] ^ 1])


def files(blobs: Blobs) -> list[Path]:
    return [path for path in blobs.folder.rglob("*") if path.is_file()]


def body_of(upload: Received, blobs: Blobs) -> bytes:
    return b"".join(download(upload.data_key, upload.ciphertext, upload.blob, blobs))


@pytest.mark.parametrize("size", [60, PIECE, PIECE + 1, IN_COLUMN, IN_COLUMN + 1, 3 * MB])
def test_a_document_of_any_size_comes_back_byte_for_byte(blobs: Blobs, size: int) -> None:
    body = state_of(size)

    upload = receive(io.BytesIO(body), LIMIT, blobs, declared=size)

    assert body_of(upload, blobs) == body
    assert upload.size == size
    assert upload.md5 == hashlib.md5(body).digest()
    assert upload.sha256 == hashlib.sha256(body).digest()
    assert upload.heading == Heading(7, "a", 4, None, encrypted=False)
    assert (upload.blob is None) == (size <= IN_COLUMN)
    assert (upload.ciphertext is None) == (size > IN_COLUMN)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 2 * PIECE), max_size=20),
    size=st.sampled_from([100, PIECE, IN_COLUMN, IN_COLUMN + 1, IN_COLUMN + PIECE]),
)
def test_it_does_not_matter_how_a_document_arrives(
    blobs: Blobs, sizes: list[int], size: int
) -> None:
    body = state_of(size)

    upload = receive(Arriving(body, sizes), LIMIT, blobs)

    assert upload.md5 == hashlib.md5(body).digest()
    assert body_of(upload, blobs) == body


@pytest.mark.parametrize("size", [1000, 2 * MB])
def test_nothing_is_stored_in_clear(blobs: Blobs, size: int) -> None:
    body = state_of(size)
    upload = receive(io.BytesIO(body), LIMIT, blobs)

    stored = upload.ciphertext or b"".join(path.read_bytes() for path in files(blobs))

    assert b"lineage" not in stored
    assert body[-50:-2] not in stored


@pytest.mark.parametrize("size", [1000, 2 * MB])
def test_the_same_document_is_sealed_differently_each_time(blobs: Blobs, size: int) -> None:
    body = state_of(size)

    first, second = (receive(io.BytesIO(body), LIMIT, blobs) for _ in range(2))

    assert first.data_key != second.data_key
    assert (first.ciphertext, first.blob) != (second.ciphertext, second.blob)


def test_an_upload_does_not_show_its_key(blobs: Blobs) -> None:
    upload = receive(io.BytesIO(state_of(1000)), LIMIT, blobs)

    assert repr(upload.data_key) not in repr(upload)


def test_a_document_that_is_declared_too_large_is_not_read_at_all(blobs: Blobs) -> None:
    stream = Arriving(state_of(2000))

    with pytest.raises(TooLarge):
        receive(stream, 1999, blobs, declared=2000)

    assert stream.taken == 0


@pytest.mark.parametrize("limit", [1000, 2 * MB])
def test_a_document_above_the_limit_is_refused_without_reading_the_rest(
    blobs: Blobs, limit: int
) -> None:
    stream = Arriving(state_of(limit + 5 * MB))

    with pytest.raises(TooLarge) as caught:
        receive(stream, limit, blobs)

    assert caught.value.facts == {"limit_bytes": limit}
    assert stream.taken == limit + 1
    assert files(blobs) == []


@pytest.mark.parametrize("limit", [1000, PIECE, IN_COLUMN, IN_COLUMN + 1, 2 * MB])
def test_a_document_of_exactly_the_limit_is_welcome(blobs: Blobs, limit: int) -> None:
    assert receive(io.BytesIO(state_of(limit)), limit, blobs).size == limit


@pytest.mark.parametrize("size", [1000, 2 * MB])
def test_a_document_that_ended_early_is_refused(blobs: Blobs, size: int) -> None:
    body = state_of(size)

    with pytest.raises(Invalid, match="ended early") as caught:
        receive(io.BytesIO(body[:-10]), LIMIT, blobs, declared=size)

    assert caught.value.code == "state-truncated"
    assert files(blobs) == []


@pytest.mark.parametrize("size", [1000, 2 * MB])
def test_a_document_with_another_md5_is_refused(blobs: Blobs, size: int) -> None:
    body = state_of(size)
    right, wrong = hashlib.md5(body).digest(), hashlib.md5(body[:-1]).digest()

    with pytest.raises(Invalid) as caught:
        receive(io.BytesIO(body), LIMIT, blobs, md5=wrong)

    assert caught.value.code == "content-md5-mismatch"
    assert files(blobs) == []
    assert receive(io.BytesIO(body), LIMIT, blobs, md5=right).md5 == right


@pytest.mark.parametrize("size", [1000, 2 * MB])
@pytest.mark.parametrize(
    ("start", "code"), [(b"[", "state-not-json"), (b'{"a": "', "not-a-state"), (b'{"version', "state-truncated")]
)  # fmt: skip
def test_what_is_no_state_is_refused_and_destroys_all(
    blobs: Blobs, size: int, start: bytes, code: str
) -> None:
    end = b'"}' if code == "not-a-state" else b""
    body = start + b"x" * size + end

    with pytest.raises(Invalid) as caught:
        receive(io.BytesIO(body), LIMIT, blobs)

    assert caught.value.code == code
    assert files(blobs) == []


def test_an_empty_body_is_refused(blobs: Blobs) -> None:
    with pytest.raises(Invalid) as caught:
        receive(io.BytesIO(b""), LIMIT, blobs)

    assert caught.value.code == "state-empty"


def test_a_client_that_disappears_destroys_all(blobs: Blobs) -> None:
    class Disappearing(Arriving):
        def read(self, size: int, /) -> bytes:
            if self.taken > MB:
                raise ConnectionResetError
            return super().read(size)

    with pytest.raises(ConnectionResetError):
        receive(Disappearing(state_of(3 * MB)), LIMIT, blobs)

    assert files(blobs) == []


@pytest.mark.parametrize("size", [1000, 2 * MB])
def test_a_changed_body_is_unreadable_before_the_first_byte(blobs: Blobs, size: int) -> None:
    upload = receive(io.BytesIO(state_of(size)), LIMIT, blobs)
    if upload.blob is not None:
        path = blobs.path(upload.blob)
        path.write_bytes(with_last_byte_flipped(path.read_bytes()))
    sealed = upload.ciphertext and with_last_byte_flipped(upload.ciphertext)

    with pytest.raises(Unreadable):
        download(upload.data_key, sealed, upload.blob, blobs)


@pytest.mark.parametrize("size", [1000, 2 * MB])
def test_another_key_reads_nothing(blobs: Blobs, size: int) -> None:
    upload = receive(io.BytesIO(state_of(size)), LIMIT, blobs)

    with pytest.raises(Unreadable):
        download(new_data_key(), upload.ciphertext, upload.blob, blobs)


def test_a_missing_body_is_unreadable_and_never_empty(blobs: Blobs) -> None:
    upload = receive(io.BytesIO(state_of(2 * MB)), LIMIT, blobs)
    assert upload.blob is not None
    blobs.delete(upload.blob)

    for blob in (upload.blob, None):
        with pytest.raises(Unreadable):
            download(upload.data_key, None, blob, blobs)


def test_a_version_that_is_deleted_while_it_is_read_is_read_to_the_end(blobs: Blobs) -> None:
    body = state_of(2 * MB)
    upload = receive(io.BytesIO(body), LIMIT, blobs)
    assert upload.blob is not None

    pieces = download(upload.data_key, None, upload.blob, blobs)
    first = next(pieces)
    blobs.delete(upload.blob)

    assert first + b"".join(pieces) == body


def test_a_download_that_nobody_reads_leaves_no_open_file(blobs: Blobs) -> None:
    upload = receive(io.BytesIO(state_of(2 * MB)), LIMIT, blobs)

    # An open file that is forgotten is a warning, and a warning is an error here.
    download(upload.data_key, None, upload.blob, blobs)


def in_a_process(script: str, folder: Path) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", STREAM + script, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


STREAM = """
import base64, json, os, resource, sys
from pathlib import Path
from backend.sealing.blobs import Blobs
from backend.documents.intake import download, receive

class Incompressible:
    def __init__(self, size):
        self.left = size
        self.next = b'{"serial": 1, "lineage": "a", "encrypted_data": "'
    def read(self, size):
        while len(self.next) < size and self.left > 0:
            self.next += base64.b64encode(os.urandom(196_608))
            self.left -= 262_144
            if self.left <= 0:
                self.next += b'"}'
        piece, self.next = self.next[:size], self.next[size:]
        return piece

blobs = Blobs(Path(sys.argv[1]) / "blobs")

def peak_kib():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

def take(size):
    upload = receive(Incompressible(size), 200_000_000, blobs)
    read = sum(map(len, download(upload.data_key, None, upload.blob, blobs)))
    assert read == upload.size, (read, upload.size)
    return read
"""


def test_100_mb_that_do_not_compress_take_little_memory(tmp_path: Path) -> None:
    script = """
take(2_000_000)
before = peak_kib()
size = take(100_000_000)
print(json.dumps({"size": size, "grown_kib": peak_kib() - before}))
"""

    found = in_a_process(script, tmp_path)

    assert found["size"] >= 100_000_000
    assert found["grown_kib"] < 20_000


def test_others_are_served_while_a_large_document_arrives(tmp_path: Path) -> None:
    script = """
import gevent.monkey
gevent.monkey.patch_all()
import gevent

served = 0
def serve():
    global served
    while True:
        served += 1
        gevent.sleep(0)

other = gevent.spawn(serve)
size = take(20_000_000)
other.kill()
print(json.dumps({"size": size, "served": served}))
"""

    found = in_a_process(script, tmp_path)

    assert found["served"] > 2 * found["size"] // PIECE


def test_a_full_disk_is_told_and_destroys_all(tmp_path: Path) -> None:
    script = """
from backend.errors import Unavailable
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
refused = 0
try:
    take(20_000_000)
except Unavailable as error:
    refused = int(error.code == "disk-full")
print(json.dumps({"refused": refused}))
"""

    found = in_a_process(script, tmp_path)

    assert found == {"refused": 1}
    assert files(Blobs(tmp_path / "blobs")) == []
