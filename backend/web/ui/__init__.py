"""The pages: server-rendered, one noun a file, over the operations that the API calls too."""

from __future__ import annotations

from flask import Flask

from backend.web.ui import (
    account,
    aliases,
    audit,
    door,
    faults,
    files,
    git_credentials,
    guide,
    hosts,
    installation,
    keys,
    layout,
    locks,
    logs,
    members,
    new_run,
    overview,
    plans,
    previews,
    projects,
    run,
    run_decisions,
    runs,
    settings,
    shown,
    sign_in,
    single_sign_on,
    templates,
    tokens,
    transfers,
    users,
    variable_sets,
    variables,
    workspace_settings,
    workspaces,
)

PARTS = (
    account,
    audit,
    aliases,
    files,
    git_credentials,
    guide,
    hosts,
    installation,
    keys,
    locks,
    members,
    new_run,
    logs,
    overview,
    plans,
    previews,
    projects,
    settings,
    run,
    run_decisions,
    runs,
    sign_in,
    single_sign_on,
    templates,
    tokens,
    transfers,
    users,
    variable_sets,
    variables,
    workspace_settings,
    workspaces,
)


def install(app: Flask) -> None:
    for part in PARTS:
        app.register_blueprint(part.bp)
    shown.install(app)
    # the last one is called first: a problem becomes a page before the page gets its headers
    door.install(app)
    layout.install(app)
    faults.install(app)
