"""Large sealed bodies: frames of 256 KiB, each compressed and sealed on its own, in order.

    body  = MAGIC frame… last-frame
    frame = length and last-flag (4 bytes) || AES-256-GCM(zstd(≤ 256 KiB))

The nonce is the frame's place and whether it is the last (the STREAM construction), the key is
used for one body only: a frame that is changed, moved, repeated, or missing does not open.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backend.errors import Unreadable

FRAME = 256 * 1024
_MAGIC = b"SRF1"
_LAST = 1 << 31
_SEALED_FRAME = FRAME + 4096  # what zstd and the tag can add to incompressible bytes
_LEVEL = 3

# A zstd context costs more to make than a small body to compress, and serves one thread at a time.
_idle_compressors: list[zstandard.ZstdCompressor] = []
_idle_decompressors: list[zstandard.ZstdDecompressor] = []


def new_data_key() -> bytes:
    """256 random bits, for one body only."""
    return AESGCM.generate_key(256)


class FrameSealer:
    """Seals one body as it arrives, holding at most a frame of it."""

    def __init__(self, data_key: bytes) -> None:
        self._cipher = AESGCM(data_key)
        self._held: list[bytes] = []
        self._size = 0
        self._count = 0

    def update(self, chunk: bytes) -> bytes:
        """The sealed frames that this chunk completes; often none."""
        # The last frame must be known as such, so a full one waits for what follows it.
        if self._size + len(chunk) <= FRAME:
            self._hold(chunk)
            return b""
        sealed = []
        if self._size == FRAME:  # as they mostly come: nothing needs to be copied
            sealed.append(self._seal(self._taken(), 0))
        text = self._taken() + chunk
        last = (len(text) - 1) // FRAME * FRAME
        sealed += [self._seal(text[at : at + FRAME], 0) for at in range(0, last, FRAME)]
        self._hold(text[last:])
        return b"".join(sealed)

    def finish(self) -> bytes:
        """The last frame. Without it the body does not open."""
        return self._seal(self._taken(), _LAST)

    def _hold(self, chunk: bytes) -> None:
        self._held.append(chunk)
        self._size += len(chunk)

    def _taken(self) -> bytes:
        taken = b"".join(self._held)
        self._held.clear()
        self._size = 0
        return taken

    def _seal(self, plaintext: bytes, last: int) -> bytes:
        nonce = _nonce(self._count, last)
        sealed = self._cipher.encrypt(nonce, _compress(plaintext), _MAGIC)
        start = b"" if self._count else _MAGIC
        self._count += 1
        return start + (len(sealed) | last).to_bytes(4, "big") + sealed


def seal_frames(data_key: bytes, plaintext: bytes) -> bytes:
    """A body that is in memory already, sealed at once."""
    sealer = FrameSealer(data_key)
    return sealer.update(plaintext) + sealer.finish()


def open_frames(data_key: bytes, file: BinaryIO) -> Iterator[bytes]:
    """The body in pieces of at most 256 KiB. Raises Unreadable at the first frame that fails."""
    for compressed in _decrypted(data_key, file):
        yield _decompress(compressed)


def open_all(data_key: bytes, sealed: bytes) -> bytes:
    """A sealed body that is in memory, opened at once. Raises Unreadable."""
    return b"".join(open_frames(data_key, io.BytesIO(sealed)))


def verify_frames(data_key: bytes, file: BinaryIO) -> None:
    """Check every frame's tag, without decompressing. Raises Unreadable.

    For before the first byte of an answer: later there is no way left to say 500.
    """
    for _ in _decrypted(data_key, file):
        pass


def _decrypted(data_key: bytes, file: BinaryIO) -> Iterator[bytes]:
    cipher = AESGCM(data_key)
    if _exactly(file, len(_MAGIC)) != _MAGIC:
        raise Unreadable("The sealed body is in a format that this version does not know.")
    last = count = 0
    while not last:
        head = int.from_bytes(_exactly(file, 4), "big")
        last, length = head & _LAST, head & ~_LAST
        if length > _SEALED_FRAME:
            raise Unreadable("The sealed body does not open: it was damaged.")
        try:
            yield cipher.decrypt(_nonce(count, last), _exactly(file, length), _MAGIC)
        except InvalidTag:
            raise Unreadable(
                "The sealed body does not open: it was changed, cut or mixed up."
            ) from None
        count += 1
    if file.read(1):
        raise Unreadable("The sealed body does not open: something was added to it.")


def _exactly(file: BinaryIO, length: int) -> bytes:
    found = file.read(length)
    if len(found) != length:
        raise Unreadable("The sealed body does not open: it was cut.")
    return found


def _nonce(count: int, last: int) -> bytes:
    return count.to_bytes(11, "big") + (b"\1" if last else b"\0")


def _compress(plaintext: bytes) -> bytes:
    try:
        compressor = _idle_compressors.pop()
    except IndexError:
        compressor = zstandard.ZstdCompressor(level=_LEVEL)
    try:
        return compressor.compress(plaintext)
    finally:
        _idle_compressors.append(compressor)


def _decompress(compressed: bytes) -> bytes:
    try:
        decompressor = _idle_decompressors.pop()
    except IndexError:
        decompressor = zstandard.ZstdDecompressor()
    try:
        return decompressor.decompress(compressed, max_output_size=FRAME)
    finally:
        _idle_decompressors.append(decompressor)
