"""The JSON API under /api/v1, and the document that describes it."""

from __future__ import annotations

from flask import Response, jsonify
from flask_openapi3.openapi import OpenAPI

from backend.web.api import (
    aliases,
    archive,
    audit,
    drift,
    git_credentials,
    installation,
    keys,
    locks,
    login,
    members,
    outputs,
    plans,
    previews,
    projects,
    rescued,
    resources,
    retry,
    run_events,
    run_logs,
    runs,
    state_diff,
    states,
    templates,
    tokens,
    users,
    variable_sets,
    variables,
    workers,
    workspaces,
)
from backend.web.api.answers import PREFIX, SECURITY_SCHEMES, Problem, invalid_request

__all__ = ["SECURITY_SCHEMES", "Problem", "install", "invalid_request"]

PARTS = (
    projects,
    keys,
    git_credentials,
    templates,
    previews,
    workspaces,
    variables,
    variable_sets,
    runs,
    retry,
    run_logs,
    run_events,
    drift,
    plans,
    states,
    outputs,
    state_diff,
    resources,
    archive,
    rescued,
    locks,
    aliases,
    audit,
    tokens,
    users,
    members,
    login,
    workers,
    installation,
)


def install(app: OpenAPI) -> None:
    for part in PARTS:
        app.register_api(part.bp)
    run_events.install(app)
    app.add_url_rule(f"{PREFIX}/openapi.json", "openapi", lambda: _document(app))


def _document(app: OpenAPI) -> Response:
    if not app.paths:
        for part in PARTS:
            part.bp.describe()
            app.tags += part.bp.tags
            app.paths |= part.bp.paths
            app.components_schemas |= part.bp.components_schemas
    return jsonify(app.api_doc)
