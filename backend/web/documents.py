"""A state document as a request's body and as an answer: its bytes, and what proves them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from flask import Response, request

from backend.documents.intake import Received, receive
from backend.errors import Invalid
from backend.models import RescuedWrite, StateVersion
from backend.web.current import installation


def received(quota: int | None) -> Received:
    """The request's body as a state document: of `quota` bytes at most, when there is one.

    Raises what `upload.receive` does.
    """
    here = installation()
    limits = (here.settings.max_state_bytes, quota)
    return receive(
        request.stream,
        min(limit for limit in limits if limit is not None),
        here.blobs,
        declared=request.content_length,
        md5=content_md5(),
    )


def content_md5() -> bytes | None:
    """What the client said of its body. Raises Invalid."""
    given = request.headers.get("Content-MD5")
    if given is None:
        return None
    try:
        return base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("Content-MD5 is not base64.", code="md5-mismatch") from None


def respond(document: StateVersion | RescuedWrite, body: Iterator[bytes]) -> Response:
    response = Response(body, 200, content_type="application/json")
    response.headers["Content-Length"] = str(document.size)
    response.headers["Content-MD5"] = base64.b64encode(document.md5).decode()
    response.headers["Cache-Control"] = "no-store"
    return response
