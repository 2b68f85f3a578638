"""State documents as bodies of requests and answers, with Content-MD5 and other headers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any, Protocol

from werkzeug.wrappers import Request, Response

from backend.documents.intake import Incoming
from backend.errors import Invalid


class Document(Protocol):
    """A version, a rescued write, or a row with their columns."""

    size: Any  # bytes
    md5: Any


def incoming(request: Request) -> Incoming:
    """The body of a request, to be received as a state document. Raises Invalid."""
    return Incoming(request.stream, request.content_length, content_md5(request))


def content_md5(request: Request) -> bytes | None:
    """The MD5 in the Content-MD5 header, if there is one. Raises Invalid."""
    given = request.headers.get("Content-MD5")
    if given is None:
        return None
    try:
        return base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("Content-MD5 is not base64.", code="md5-mismatch") from None


def respond(document: Document, body: Iterator[bytes]) -> Response:
    response = Response(body, 200, content_type="application/json")
    response.headers["Content-Length"] = str(document.size)
    response.headers["Content-MD5"] = base64.b64encode(document.md5).decode()
    response.headers["Cache-Control"] = "no-store"
    return response
