"""Templates: the list, one with its workspaces, and the form of a new one or of a change."""

from __future__ import annotations

from typing import Any

from flask import redirect, request
from flask.typing import ResponseReturnValue

from backend.catalogue import keys, projects, templates
from backend.catalogue.windows import DAYS
from backend.models import Project, Template
from backend.paging import MAX_LIMIT
from backend.runs import template_uses
from backend.states import workspaces
from backend.transactions import Transaction
from backend.web.api.templates import NewTemplate, TemplateChange, fields
from backend.web.current import reading, transaction
from backend.web.ui import forms, template_fields
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page

bp = pages("templates")
AT = "/projects/<project>/templates"
SPARE_ROWS = 2


@bp.get(AT)
def show_all(project: str) -> ResponseReturnValue:
    with reading() as tx:
        one = projects.named(tx, project)
        found = templates.find_all(tx, one, request.args.get("cursor"))
        uses = template_uses.find_all(tx, one, found.items)
        return page("templates/templates.html", one, found=found, uses=uses)


@bp.get(f"{AT}/new")
def ask(project: str) -> ResponseReturnValue:
    with reading() as tx:
        one = projects.named(tx, project)
        tx.require("templates:manage", one.id)
        return page("templates/new.html", one, template=None, **_choices(tx, one, None))


@bp.post(AT)
def create(project: str) -> ResponseReturnValue:
    body = template_fields.read(NewTemplate)
    with transaction() as tx:
        one = projects.named(tx, project)
        made = workspaces.create_template(tx, one, body.workspace.new(), **fields(body))
    say(f"The template {made.name} is there, with a workspace.")
    return redirect(f"/projects/{one.name}/templates/{made.name}", 303)


@bp.get(f"{AT}/<template>")
def show(project: str, template: str) -> ResponseReturnValue:
    with reading() as tx:
        one = projects.named(tx, project)
        found = templates.get(tx, one, template)
        places, rules = template_uses.find_places(tx, found), template_fields.rules_of(found)
        return page("templates/template.html", one, template=found, places=places, rules=rules)


@bp.get(f"{AT}/<template>/settings")
def show_form(project: str, template: str) -> ResponseReturnValue:
    with reading() as tx:
        one = projects.named(tx, project)
        found = templates.get(tx, one, template)
        tx.require("templates:manage", one.id)
        return page("templates/settings.html", one, template=found, **_choices(tx, one, found))


@bp.post(f"{AT}/<template>")
def change(project: str, template: str) -> ResponseReturnValue:
    body = template_fields.read(TemplateChange)
    with transaction() as tx:
        one = projects.named(tx, project)
        found = templates.update(tx, one, template, **fields(body))
    say(f"The template {found.name} is changed. Runs that begin from now on use the new values.")
    return redirect(f"/projects/{one.name}/templates/{found.name}", 303)


@bp.post(f"{AT}/<template>/delete")
def delete(project: str, template: str) -> ResponseReturnValue:
    with transaction() as tx:
        one = projects.named(tx, project)
        forms.typed(templates.get(tx, one, template).name)
        templates.delete(tx, one, template)
    say("The template is deleted.")
    return redirect(f"/projects/{one.name}/templates", 303)


def _choices(tx: Transaction, project: Project, template: Template | None) -> dict[str, Any]:
    """What the form offers and shows."""
    may_see = tx.principal.may("keys:manage", project.id)
    found = keys.find_all(tx, project, limit=MAX_LIMIT).items if may_see else []
    own = [template.key] if template is not None and template.key is not None else []
    rules = template_fields.rules_of(template)
    windows = [(window, template_fields.days_of(window.days)) for window in rules.windows]
    return {
        "keys": [(name, name) for name in sorted({key.name for key in (*found, *own)})],
        "rules": rules,
        "decisions": template_fields.decisions(rules),
        "windows": [*windows, *[(None, set())] * SPARE_ROWS],
        "questions": [*(template.survey if template else []), *[None] * SPARE_ROWS],
        "days": DAYS,
        "steps": template_fields.STEPS,
        "wrappers": templates.WRAPPERS,
    }
