"""Intake: receive a state document, check, hash and seal it; and open it again for a download.

A document of up to 1 MiB is sealed in memory and stored in a column. A larger one is sealed piece
by piece into a blob (a file of its own), and its outputs once more beside it, so that nobody who
asks for them reads all of it. It is never on the disk in clear.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO, Protocol, Self

from backend.documents.heading import Heading, read_heading
from backend.documents.outputs import OutputsReader
from backend.errors import Invalid, TooLarge, Unreadable
from backend.offload import off_loop, side_by_side
from backend.sealing.blobs import Blobs, BlobWriter
from backend.sealing.frames import (
    FRAME,
    FrameSealer,
    derived_key,
    new_data_key,
    open_all,
    open_frames,
    seal_frames,
    verify_frames,
)

IN_COLUMN = 1024 * 1024  # bytes of a document that is sealed into its row; larger ones are files
PIECE = FRAME
_SALT = 16  # random bytes before sealed outputs


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Pieces:
    """A stream over an iterator of pieces. A piece is copied only if a read ends inside it."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def read(self, size: int, /) -> bytes:
        piece = self._held or next(self._pieces, b"")
        while not piece and (following := next(self._pieces, None)) is not None:
            piece = following
        self._held = piece[size:]
        return piece[:size]


@dataclass(frozen=True, slots=True)
class Received:
    """A received document, sealed under `data_key`, which the row keeps wrapped.

    Either `ciphertext` or `blob` is set, and with the blob `outputs`, which `seal_outputs` has
    made. A blob that no row refers to is deleted later (swept).
    """

    size: int
    md5: bytes
    sha256: bytes
    heading: Heading
    data_key: bytes = field(repr=False)
    ciphertext: bytes | None = field(repr=False, default=None)
    blob: str | None = None
    outputs: bytes | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A document that is about to arrive, with the size and MD5 that the client gave."""

    stream: Stream
    size: int | None = None  # bytes
    md5: bytes | None = None

    def receive(self, limit: int, blobs: Blobs) -> Received:
        """Read the whole document. Raises what `receive` raises."""
        return receive(self.stream, limit, blobs, declared=self.size, md5=self.md5)


def receive(
    stream: Stream,
    limit: int,
    blobs: Blobs,
    *,
    declared: int | None = None,
    md5: bytes | None = None,
) -> Received:
    """Read a whole document of at most `limit` bytes. The client gave `declared` and `md5`.

    Raises TooLarge without reading the rest, Invalid for a body that is not a state or differs from
    what was declared, and Unavailable when the disk is full. Then nothing is kept.
    """
    if declared is not None and declared > limit:
        raise TooLarge(limit)
    claim = _Claim(declared, md5)
    pieces = _pieces(stream, limit)
    first: list[bytes] = []
    for piece in pieces:
        first.append(piece)
        if sum(map(len, first)) > IN_COLUMN:
            return _receive_large(itertools.chain(first, pieces), blobs, claim)
    body = b"".join(first)
    return off_loop(_seal_small, body, claim) if len(body) > PIECE else _seal_small(body, claim)


@dataclass(frozen=True, slots=True)
class _Claim:
    """What the client declared about the body."""

    size: int | None
    md5: bytes | None

    def check(self, size: int, md5: bytes) -> None:
        if self.size is not None and size != self.size:
            raise Invalid(
                f"The body ended early: {size:,} of {self.size:,} bytes arrived.",
                code="state-truncated",
            )
        if self.md5 is not None and md5 != self.md5:
            raise Invalid(
                "The body does not match its Content-MD5: it was damaged on the way.",
                code="content-md5-mismatch",
            )


def _pieces(stream: Stream, limit: int) -> Iterator[bytes]:
    """The body in pieces of equal size and a shorter last one. Raises TooLarge above `limit`."""
    left = limit
    while piece := _piece(stream, min(PIECE, left + 1)):
        left -= len(piece)
        if left < 0:
            raise TooLarge(limit)
        yield piece


def _piece(stream: Stream, size: int) -> bytes:
    first = stream.read(size)
    if not first or len(first) == size:
        return first
    parts, missing = [first], size - len(first)
    while missing and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _seal_small(body: bytes, claim: _Claim) -> Received:
    md5 = hashlib.md5(body, usedforsecurity=False).digest()
    claim.check(len(body), md5)
    heading = read_heading(body)
    data_key = new_data_key()
    return Received(
        size=len(body),
        md5=md5,
        sha256=hashlib.sha256(body).digest(),
        heading=heading,
        data_key=data_key,
        ciphertext=seal_frames(data_key, body),
    )


def _receive_large(pieces: Iterator[bytes], blobs: Blobs, claim: _Claim) -> Received:
    with blobs.writer() as writer:
        intake = _Intake(writer)
        for piece in pieces:
            side_by_side(partial(intake.count, piece), partial(intake.keep, piece))
        return off_loop(intake.finish, claim)


class _Intake:
    """Processes a large body piece by piece: call `count` and `keep` with each one."""

    def __init__(self, writer: BlobWriter) -> None:
        self._writer = writer
        self._size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._reader = OutputsReader()
        self._data_key = new_data_key()
        self._sealer = FrameSealer(self._data_key)

    def count(self, piece: bytes) -> None:
        self._size += len(piece)
        self._md5.update(piece)
        self._sha256.update(piece)

    def keep(self, piece: bytes) -> None:
        self._reader.feed(piece)
        self._writer.write(self._sealer.update(piece))

    def finish(self, claim: _Claim) -> Received:
        md5 = self._md5.digest()
        claim.check(self._size, md5)
        heading = self._reader.finish()
        self._writer.write(self._sealer.finish())
        return Received(
            size=self._size,
            md5=md5,
            sha256=self._sha256.digest(),
            heading=heading,
            data_key=self._data_key,
            blob=self._writer.commit(),
            outputs=seal_outputs(self._data_key, self._reader.outputs),
        )


def seal_outputs(data_key: bytes, text: bytes | None) -> bytes:
    """Seal the outputs of a document; None means that they are not to be shown.

    Their key is derived from the data key of the document, so they open with it, and with a salt,
    because a key seals only once.
    """
    salt = os.urandom(_SALT)
    return salt + seal_frames(_key_of_outputs(data_key, salt), text or b"")


def open_outputs(data_key: bytes, sealed: bytes) -> bytes | None:
    """What was given to `seal_outputs`. Raises Unreadable."""
    return open_all(_key_of_outputs(data_key, sealed[:_SALT]), sealed[_SALT:]) or None


def _key_of_outputs(data_key: bytes, salt: bytes) -> bytes:
    return derived_key(data_key, b"outputs " + salt)


def read_outputs(pieces: Iterator[bytes]) -> bytes | None:
    """The outputs of a large document, as `Received` would have them."""
    reader = OutputsReader()
    for piece in pieces:
        off_loop(reader.feed, piece)
    reader.finish()
    return reader.outputs


def download(
    data_key: bytes, ciphertext: bytes | None, blob: str | None, blobs: Blobs
) -> Iterator[bytes]:
    """The document in pieces of at most 256 KiB. All of it is checked before the first one.

    Raises Unreadable. The iterator of a blob has a `close`, which a WSGI server calls.
    """
    if ciphertext is not None:
        return iter(list(open_frames(data_key, io.BytesIO(ciphertext))))
    if blob is None:
        raise Unreadable("The row has no sealed body.", code="body-missing")
    file = blobs.open(blob)
    try:
        off_loop(verify_frames, data_key, file)
        file.seek(0)
    except BaseException:  # also GreenletExit of a killed greenlet, which is not an Exception
        file.close()
        raise
    return _Outgoing(data_key, file)


class _Outgoing:
    """The document of a blob. Its file stays open and may be deleted during the download."""

    def __init__(self, data_key: bytes, file: BinaryIO) -> None:
        self._file = file
        self._pieces = open_frames(data_key, file)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        piece = off_loop(next, self._pieces, None)
        if piece is None:
            self.close()
            raise StopIteration
        return piece

    def close(self) -> None:
        self._file.close()

    def __del__(self) -> None:
        self.close()  # if the client is gone before the first piece, nobody calls close
