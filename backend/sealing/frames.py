"""Large sealed bodies: frames of 256 KiB, each compressed and sealed on its own, in order.

    body  = MAGIC frame… last-frame
    frame = length and last-flag (4 bytes) || AES-256-GCM(zstd(≤ 256 KiB))

The nonce contains the number of the frame and whether it is the last one (the STREAM construction),
and each key is used for one body only. So a body with a frame that is changed, moved, repeated or
missing does not open.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from backend.errors import Unreadable

FRAME = 256 * 1024
_MAGIC = b"SRF1"
_LAST = 1 << 31
_SEALED_FRAME = FRAME + 4096  # zstd and the tag can add this much to incompressible bytes
_LEVEL = 3

# Creating a zstd context takes longer than compressing a small body; only one thread may use it.
_idle_compressors: list[zstandard.ZstdCompressor] = []
_idle_decompressors: list[zstandard.ZstdDecompressor] = []


def new_data_key() -> bytes:
    """256 random bits, for one body only."""
    return AESGCM.generate_key(256)


def derived_key(data_key: bytes, purpose: bytes) -> bytes:
    """Another key for one body only, which who has the data key can make again."""
    return HKDFExpand(SHA256(), length=32, info=b"stateroom " + purpose).derive(data_key)


class FrameSealer:
    """Seals one body as it arrives, with at most one frame in memory."""

    def __init__(self, data_key: bytes) -> None:
        self._cipher = AESGCM(data_key)
        self._held: list[bytes] = []
        self._size = 0
        self._count = 0

    def update(self, chunk: bytes) -> bytes:
        """The sealed frames that this chunk completes; often none."""
        # The last frame is marked, so a full frame waits until it is known whether another follows.
        if self._size + len(chunk) <= FRAME:
            self._hold(chunk)
            return b""
        sealed = []
        if self._size == FRAME:  # the usual case, in which nothing needs to be copied
            sealed.append(self._seal(self._taken(), 0))
        text = self._taken() + chunk
        last = (len(text) - 1) // FRAME * FRAME
        sealed += [self._seal(text[at : at + FRAME], 0) for at in range(0, last, FRAME)]
        self._hold(text[last:])
        return b"".join(sealed)

    def finish(self) -> bytes:
        """The last frame, without which the body does not open."""
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
    """Seal a body that is in memory."""
    sealer = FrameSealer(data_key)
    return sealer.update(plaintext) + sealer.finish()


def open_frames(data_key: bytes, file: BinaryIO) -> Iterator[bytes]:
    """The body in pieces of at most 256 KiB. Raises Unreadable at the first frame that fails."""
    for compressed in _decrypted(data_key, file):
        yield _decompress(compressed)


def open_all(data_key: bytes, sealed: bytes) -> bytes:
    """Open a sealed body that is in memory. Raises Unreadable."""
    return b"".join(open_frames(data_key, io.BytesIO(sealed)))


def verify_frames(data_key: bytes, file: BinaryIO) -> None:
    """Check the tag of every frame, without decompressing. Raises Unreadable.

    Called before the first byte of an answer is sent: after that the status can no longer be 500.
    """
    for _ in _decrypted(data_key, file):
        pass


def _decrypted(data_key: bytes, file: BinaryIO) -> Iterator[bytes]:
    cipher = AESGCM(data_key)
    if _exactly(file, len(_MAGIC)) != _MAGIC:
        raise Unreadable("The sealed body has a format that this version does not know.")
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
                "The sealed body does not open: it was changed, cut, or its parts were swapped."
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
