"""The page at /api/reference: openapi.json, rendered by Swagger UI from files of our own."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from backend.upkeep import installation

bp = Blueprint(
    "reference",
    __name__,
    url_prefix="/api/reference",
    template_folder="templates",
    static_folder="static/reference",
    static_url_path="/files",
)

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@bp.get("")
def reference() -> ResponseReturnValue:
    page = render_template("reference.html", version=installation.version())
    return page, 200, {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
