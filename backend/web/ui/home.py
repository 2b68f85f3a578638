"""The page at /: what this is, and where its API and documentation are."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from backend.upkeep import installation

bp = Blueprint("home", __name__, template_folder="templates")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


@bp.get("/")
def home() -> ResponseReturnValue:
    page = render_template("home.html", version=installation.version())
    return page, 200, {"Content-Security-Policy": CONTENT_SECURITY_POLICY}


@bp.get("/style.css")
def style() -> ResponseReturnValue:
    sheet = render_template("style.css")
    return sheet, 200, {"Content-Type": "text/css", "Cache-Control": "max-age=3600"}
