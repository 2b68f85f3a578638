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
    graph,
    guide,
    hosts,
    installation,
    keys,
    layout,
    locks,
    logs,
    members,
    new_run,
    outputs,
    overview,
    plans,
    previews,
    projects,
    rescued,
    resources,
    run,
    run_decisions,
    runs,
    settings,
    shown,
    sign_in,
    single_sign_on,
    state_diff,
    templates,
    tokens,
    transfers,
    users,
    variable_sets,
    variables,
    versions,
    workspace_settings,
    workspaces,
)

PARTS = (
    account,
    aliases,
    audit,
    files,
    git_credentials,
    graph,
    guide,
    hosts,
    installation,
    keys,
    locks,
    logs,
    members,
    new_run,
    outputs,
    overview,
    plans,
    previews,
    projects,
    rescued,
    resources,
    run,
    run_decisions,
    runs,
    settings,
    sign_in,
    single_sign_on,
    state_diff,
    templates,
    tokens,
    transfers,
    users,
    variable_sets,
    variables,
    versions,
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
