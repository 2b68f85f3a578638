"""What every page shows around its own: where one is, what else there is, and who one is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Flask, g, render_template, request

from backend.errors import Unauthorised
from backend.models import Project
from backend.principal import Principal
from backend.upkeep import installation
from backend.web.current import installation as here
from backend.web.current import principal
from backend.web.ui import files, onces


def install(app: Flask) -> None:
    app.jinja_env.globals |= {
        "static": files.address,
        "version": installation.version(),
        "may": may,
        "with_query": with_query,
        "new_once": onces.new,
    }
    app.context_processor(_around)


def page(name: str, project: Project | None = None, **values: Any) -> str:
    """A page, of a project if it belongs to one.

    `api` and `command` in the values are how to do the same from a terminal.
    """
    g.project = None if project is None else (project.id, project.name)
    return render_template(name, project=project, **values)


def may(scope: str) -> bool:
    """Whether who looks has this scope in the project of the page, or without one everywhere."""
    found, project = _me(), g.get("project")
    return found is not None and found.may(scope, project[0] if project else None)


def with_query(changes: Mapping[str, str | None]) -> str:
    """The address of this page with other parameters; None leaves one out."""
    given = {**request.args.to_dict(), **changes}
    kept = {name: value for name, value in given.items() if value}
    return f"{request.path}?{urlencode(kept)}" if kept else request.path


def _around() -> dict[str, Any]:
    project = g.get("project")
    return {
        "me": _me(),
        "in_project": project[1] if project else None,
        "here": request.path,
        "url": here().settings.url,
    }


def _me() -> Principal | None:
    try:
        found = principal()
    except Unauthorised:
        return None
    return found if found.is_session else None
