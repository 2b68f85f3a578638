"""Make pictures of pages a third of their size: 256 colours are enough for text on a plain ground.

A PNG as browsers write it has 8 bits of each colour, and no palette (https://www.w3.org/TR/png/).
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BYTES = {2: 3, 6: 4}  # of a pixel: with colours, and with opacity besides
PALETTE = 3


def smaller(picture: bytes) -> bytes:
    """The same picture with the 256 colours that it has most, and the nearest ones for the rest."""
    parts = list(_parts(picture))
    width, height, _, kind = struct.unpack(">IIBB", parts[0][1][:10])
    packed = b"".join(body for name, body in parts if name == b"IDAT")
    pixels = _pixels(zlib.decompress(packed), width, BYTES[kind])
    palette, places = _palette(Counter(pixels))
    lines = (pixels[at : at + width] for at in range(0, width * height, width))
    data = b"".join(b"\0" + bytes(places[pixel] for pixel in line) for line in lines)
    header = struct.pack(">IIBBBBB", width, height, 8, PALETTE, 0, 0, 0)
    made = (
        (b"IHDR", header),
        (b"PLTE", palette),
        (b"IDAT", zlib.compress(data, 9)),
        (b"IEND", b""),
    )
    return SIGNATURE + b"".join(_part(name, body) for name, body in made)


def _parts(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(picture):
        (size,) = struct.unpack(">I", picture[at : at + 4])
        yield picture[at + 4 : at + 8], picture[at + 8 : at + 8 + size]
        at += 12 + size


def _part(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _palette(colours: Counter[bytes]) -> tuple[bytes, dict[bytes, int]]:
    """The most frequent colours, and the place of the nearest one for each colour."""
    kept = [colour for colour, _ in colours.most_common(256)]
    places = {colour: place for place, colour in enumerate(kept)}
    for colour in colours:
        if colour not in places:
            places[colour] = min(range(len(kept)), key=lambda at: _distance(kept[at], colour))
    return b"".join(kept), places


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _pixels(data: bytes, width: int, size: int) -> list[bytes]:
    """The colour of each pixel, without opacity: pages have none."""
    row, found = width * size, []
    before = bytearray(row)
    for begin in range(0, len(data), row + 1):
        line = bytearray(data[begin + 1 : begin + 1 + row])
        _unfilter(data[begin], line, before, size)
        found += [bytes(line[at : at + 3]) for at in range(0, row, size)]
        before = line
    return found


def _unfilter(kind: int, line: bytearray, above: bytearray, size: int) -> None:
    """What the line is, from what it was told to be different from."""
    if kind == 0:
        return
    if kind == 2:
        line[:] = bytes((one + up) & 255 for one, up in zip(line, above, strict=True))
        return
    corners = bytes(size) + bytes(above[:-size])
    for at, (up, corner) in enumerate(zip(above, corners, strict=True)):
        left = line[at - size] if at >= size else 0
        if kind == 1:
            guess = left
        elif kind == 3:
            guess = (left + up) // 2
        else:
            guess = _nearest(left, up, corner)
        line[at] = (line[at] + guess) & 255


def _nearest(left: int, above: int, corner: int) -> int:
    """Paeth's guess."""
    to_left, to_above = abs(above - corner), abs(left - corner)
    to_corner = abs(left + above - 2 * corner)
    if to_left <= to_above and to_left <= to_corner:
        return left
    return above if to_above <= to_corner else corner
