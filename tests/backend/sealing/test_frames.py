"""Large sealed bodies open completely or not at all, whatever was done to them."""

from __future__ import annotations

import io
import os
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import Unreadable
from backend.sealing.frames import (
    FRAME,
    FrameSealer,
    new_data_key,
    open_all,
    open_frames,
    seal_frames,
    verify_frames,
)

KEY = new_data_key()
MAGIC = 4


def text(size: int) -> bytes:
    return random.Random(size).randbytes(min(size, 1000)) * (size // 1000 + 1)


def frames_of(sealed: bytes) -> list[bytes]:
    frames, at = [], MAGIC
    while at < len(sealed):
        length = struct.unpack(">I", sealed[at : at + 4])[0] & 0x7FFFFFFF
        frames.append(sealed[at : at + 4 + length])
        at += 4 + length
    return frames


THREE = seal_frames(KEY, os.urandom(FRAME * 2 + 10))
FRAMES = frames_of(THREE)


def assert_unreadable(sealed: bytes, key: bytes = KEY) -> None:
    with pytest.raises(Unreadable):
        open_all(key, sealed)
    with pytest.raises(Unreadable):
        verify_frames(key, io.BytesIO(sealed))


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 3 * FRAME + 5])
def test_a_body_of_any_size_opens_to_the_same_bytes(size: int) -> None:
    body = text(size)[:size]

    sealed = seal_frames(KEY, body)

    assert open_all(KEY, sealed) == body
    assert len(frames_of(sealed)) == max(1, -(-size // FRAME))
    verify_frames(KEY, io.BytesIO(sealed))


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(0, FRAME * 2), max_size=6))
def test_it_does_not_matter_how_a_body_arrives(sizes: list[int]) -> None:
    chunks = [text(size)[:size] for size in sizes]
    sealer = FrameSealer(KEY)

    sealed = b"".join(sealer.update(chunk) for chunk in chunks) + sealer.finish()

    assert sealed == seal_frames(KEY, b"".join(chunks))
    assert all(len(piece) <= FRAME for piece in open_frames(KEY, io.BytesIO(sealed)))


def test_incompressible_bytes_hardly_grow() -> None:
    body = os.urandom(4 * FRAME)

    assert len(seal_frames(KEY, body)) < len(body) + 300


def test_another_key_opens_nothing() -> None:
    assert_unreadable(THREE, new_data_key())


@pytest.mark.parametrize(
    "frames",
    [
        FRAMES[:2],
        FRAMES[1:],
        FRAMES[:1] + FRAMES[2:],
        [FRAMES[1], FRAMES[0], FRAMES[2]],
        [FRAMES[0], FRAMES[0], FRAMES[1], FRAMES[2]],
        [*FRAMES, FRAMES[2]],
        [],
    ],
    ids=["last cut", "first cut", "middle cut", "swapped", "repeated", "last repeated", "none"],
)
def test_moved_repeated_or_missing_frames_do_not_open(frames: list[bytes]) -> None:
    assert_unreadable(THREE[:MAGIC] + b"".join(frames))


def test_a_frame_that_is_called_the_last_one_does_not_open() -> None:
    length = struct.unpack(">I", FRAMES[0][:4])[0]
    last = struct.pack(">I", length | 1 << 31) + FRAMES[0][4:]

    assert_unreadable(THREE[:MAGIC] + last)


def test_frames_of_two_bodies_do_not_mix() -> None:
    other = frames_of(seal_frames(new_data_key(), os.urandom(FRAME * 2 + 10)))

    assert_unreadable(THREE[:MAGIC] + FRAMES[0] + other[1] + FRAMES[2])


@settings(max_examples=60)
@given(bit=st.integers(0, len(THREE) * 8 - 1))
def test_a_flipped_bit_does_not_open(bit: int) -> None:
    changed = bytearray(THREE)
    changed[bit // 8] ^= 1 << bit % 8

    assert_unreadable(bytes(changed))


@settings(max_examples=60)
@given(bit=st.integers(0, 8 * 8 - 1))
def test_a_flipped_bit_of_the_heading_does_not_open(bit: int) -> None:
    changed = bytearray(THREE)
    changed[bit // 8] ^= 1 << bit % 8

    assert_unreadable(bytes(changed))


@settings(max_examples=60)
@given(length=st.integers(0, len(THREE) - 1))
def test_a_cut_body_does_not_open(length: int) -> None:
    assert_unreadable(THREE[:length])


@given(added=st.binary(min_size=1, max_size=50))
def test_a_body_with_something_behind_it_does_not_open(added: bytes) -> None:
    assert_unreadable(THREE + added)
