"""The pages: server-rendered, one noun a file, over the operations that the API calls too."""

from __future__ import annotations

from flask import Flask

from backend.web.ui import (
    account,
    door,
    faults,
    files,
    git_credentials,
    hosts,
    keys,
    layout,
    overview,
    projects,
    shown,
    sign_in,
    templates,
    workspaces,
)

PARTS = (
    account,
    files,
    git_credentials,
    hosts,
    keys,
    overview,
    projects,
    sign_in,
    templates,
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
