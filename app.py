"""create_app(settings): the Flask server."""

from __future__ import annotations

from flask_openapi3.models.info import Info
from flask_openapi3.models.server import Server
from flask_openapi3.openapi import OpenAPI

from backend.config import Settings
from backend.upkeep import installation
from backend.web import api, current, health, metrics, problems, protocol, ui
from backend.web.ui import reference
from execution import repositories


def create_app(settings: Settings) -> OpenAPI:
    """The server of one installation. The first start creates schema, keyring and administrator.

    Raises installation.NotReady when the keyring does not belong to the database.
    """
    here = repositories.knowing_the_rules(installation.prepare(settings))
    app = OpenAPI(
        "stateroom",
        info=Info(title="Stateroom", version=installation.version()),
        servers=[Server(url=settings.url)],
        security_schemes=api.SECURITY_SCHEMES,
        validation_error_callback=api.invalid_request,
        validation_error_model=api.Problem,
        doc_ui=False,
        static_folder=None,
    )
    # terraform would follow a redirected POST with a GET, and exit with 0 without storing anything
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.extensions[current.EXTENSION] = here
    problems.install(app)
    for blueprint in (reference.bp, health.bp):
        app.register_blueprint(blueprint)
    ui.install(app)
    api.install(app)
    protocol.install(app, here, metrics.install(app))
    return app
