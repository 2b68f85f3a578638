"""Style, scripts and icons. The address of a file has its hash, so browsers keep it for good."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, send_from_directory

from backend.errors import NotFound

FOLDER = Path(__file__).parent / "static"
FOR_GOOD = "public, max-age=31536000, immutable"

bp = Blueprint("files", __name__)


@bp.get("/static/<digest>/<path:name>")
def read_file(digest: str, name: str) -> Response:
    if digest != _digest(name):
        raise NotFound("There is no such file in this version. Load the page again.")
    response = send_from_directory(FOLDER, name)
    response.headers["Cache-Control"] = FOR_GOOD
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def address(name: str) -> str:
    """The address of a file in static/."""
    return f"/static/{_digest(name)}/{name}"


@cache
def _digest(name: str) -> str:
    path = (FOLDER / name).resolve()
    if not path.is_relative_to(FOLDER) or not path.is_file():
        return "none"
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
