"""Rows for tests, written without the API."""

from __future__ import annotations

from backend.models import Project, Template, Workspace
from backend.states import states
from backend.transactions import Installation


def add_workspaces(
    here: Installation, *names: str, repository: str = "https://x.example/r"
) -> list[Workspace]:
    """Workspaces of these names, each with an empty state, in a project `alpha`."""
    with here.itself.transaction() as tx:
        project = Project(name="alpha")
        tx.db.add(project)
        tx.db.flush()
        template = Template(project_id=project.id, name="net", repository=repository)
        tx.db.add(template)
        tx.db.flush()
        made = [
            Workspace(project_id=project.id, template_id=template.id, name=name) for name in names
        ]
        tx.db.add_all(made)
        tx.db.flush()
        for workspace in made:
            states.create(tx.db, workspace)
    return made
