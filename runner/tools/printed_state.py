"""The state that the tool prints when it can neither store it nor write it into a file.

It prints the document among its other output: at the beginning of a line, and with every secret in
clear (EmergencyDumpState, in the sources of both tools). It must not get into the log, and nothing
else records what the tool has made.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from io import BufferedReader, FileIO
from typing import BinaryIO

# how a document begins and ends: Terraform's, OpenTofu's, and what OpenTofu encrypted
_FORMS = {b'{\n  "version": 4,\n': b"\n}\n", b'{"version":4,': b"\n", b'{"serial":': b"\n"}
_BEGIN = re.compile(b"^(?:%s)" % b"|".join(map(re.escape, _FORMS)), re.MULTILINE)
_NOT_SHOWN = b"(The tool printed the state here. It is not shown: its secrets are in clear.)\n"


class PrintedState:
    """Takes the document out of what a command prints. It is kept in memory: the disk is full."""

    def __init__(self, limit: int) -> None:
        """A document of more bytes than the limit is taken out, and not kept."""
        self._limit = limit
        self._held = b""  # a line that may be the beginning of a document
        self._at_line_start = True
        self._end = b""  # how the document ends that is being read; empty when none is
        self._tail = b""
        self._file: FileIO | None = None
        self._size = 0

    def feed(self, chunk: bytes) -> bytes:
        """What of the output is not the document, as soon as that is known."""
        shown = b""
        rest = self._held + chunk
        self._held = b""
        while rest:
            if self._end:
                rest = self._read_on(rest)
            else:
                other, rest = self._look(rest)
                shown += other
        return shown

    def flush(self) -> bytes:
        """The rest of the output, at its end."""
        rest, self._held = self._held, b""
        return rest

    @contextlib.contextmanager
    def taken(self) -> Iterator[BinaryIO | None]:
        """The last document that was printed, if one was, and was not too large."""
        if self._file is None:
            yield None
            return
        with BufferedReader(self._file) as document:
            document.seek(0)
            yield document if self._size <= self._limit else None
        self._file = None

    def _look(self, text: bytes) -> tuple[bytes, bytes]:
        """What comes before the next document, and what comes after its beginning."""
        before = b"" if self._at_line_start else b"."
        found = _BEGIN.search(before + text)
        if found is None:
            kept = self._may_begin(text)
            other, self._held = text[: len(text) - kept], text[len(text) - kept :]
            self._at_line_start = other.endswith(b"\n") if other else self._at_line_start
            return other, b""
        begin = found.group()
        at = found.start() - len(before)
        self._begin(begin)
        return text[:at] + _NOT_SHOWN, text[at + len(begin) :]

    def _may_begin(self, text: bytes) -> int:
        """The length of the last line, if it may be the beginning of a document."""
        line_starts = b"\n" + text if self._at_line_start else text
        for begin in _FORMS:
            for length in range(len(begin) - 1, 0, -1):
                if line_starts.endswith(b"\n" + begin[:length]):
                    return length
        return 0

    def _begin(self, begin: bytes) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._size = FileIO(os.memfd_create("state"), "r+"), 0
        self._end, self._tail = _FORMS[begin], b""
        self._keep(begin)

    def _read_on(self, text: bytes) -> bytes:
        """Keep what belongs to the document, and return what comes after it."""
        at = (self._tail + text).find(self._end)
        if at < 0:
            self._keep(text)
            return b""
        ends = at + len(self._end) - len(self._tail)
        self._keep(text[:ends])
        self._end, self._at_line_start = b"", True
        return text[ends:]

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._limit and self._file is not None:
            self._file.write(part)
        self._tail = (self._tail + part)[1 - len(self._end) :] if len(self._end) > 1 else b""
