"""Rows that others need, written past the API."""

from __future__ import annotations

from backend.models import Project, Template, Workspace
from backend.states import states
from backend.upkeep.installation import Installation


def add_workspaces(
    here: Installation, *names: str, repository: str = "https://x.example/r"
) -> list[Workspace]:
    """Workspaces of these names, each with an empty state, in a project `alpha`."""
    with here.database.transaction() as db:
        project = Project(name="alpha")
        db.add(project)
        db.flush()
        template = Template(project_id=project.id, name="net", repository=repository)
        db.add(template)
        db.flush()
        made = [
            Workspace(project_id=project.id, template_id=template.id, name=name) for name in names
        ]
        db.add_all(made)
        db.flush()
        for workspace in made:
            states.create(db, workspace)
    return made
