"""The addresses of all pages with example data, also of those that are added next."""

from __future__ import annotations

import re
from collections.abc import Mapping

from flask import Flask
from werkzeug.routing import Rule

from backend.web import ui
from tests.support.example.installation import Example

ELSEWHERE = {"ui-single-sign-on"}  # they lead to a provider, and the example has none
FIXED = {"user": "bob", "number": "1", "cursor": "1_0"}
OF_THE_LAPTOP = {"alias", "rescued_id"}  # things of another workspace than the others
QUERIES = {"/search": "?q=shop"}


def every_page(made: Example) -> list[str]:
    """One address for each page that there is. Raises KeyError for one that needs something new."""
    values = {**FIXED, "run": made.runs["planned"], **made.things}
    laptop = {**values, "workspace": "laptop"}
    return [address(rule, laptop if OF_THE_LAPTOP & rule.arguments else values) for rule in rules()]


def rules() -> list[Rule]:
    """The rules of all pages."""
    app = Flask(__name__)
    for part in ui.PARTS:
        app.register_blueprint(part.bp)
    return [
        rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("ui-")
        and rule.endpoint.partition(".")[0] not in ELSEWHERE
        and "GET" in (rule.methods or ())
    ]


def address(rule: Rule, values: Mapping[str, str]) -> str:
    path = re.sub(r"<(?:[^<>]*:)?(\w+)>", lambda found: values[found[1]], rule.rule)
    return path + QUERIES.get(rule.rule, "")
