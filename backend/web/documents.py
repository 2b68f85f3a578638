"""A state document as an answer: its bytes as they were written, and what proves it."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from flask import Response

from backend.models import RescuedWrite, StateVersion


def respond(document: StateVersion | RescuedWrite, body: Iterator[bytes]) -> Response:
    response = Response(body, 200, content_type="application/json")
    response.headers["Content-Length"] = str(document.size)
    response.headers["Content-MD5"] = base64.b64encode(document.md5).decode()
    response.headers["Cache-Control"] = "no-store"
    return response
