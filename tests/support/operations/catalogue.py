"""Operations on projects, and on what is kept in them."""

from __future__ import annotations

from collections.abc import Mapping

from backend.catalogue import (
    effective,
    git_credentials,
    host_keys,
    keys,
    projects,
    run_variables,
    templates,
    variable_sets,
    variables,
)
from backend.catalogue.variables import NewVariable
from backend.principal import PIN_HOSTS
from tests.support.operations.world import (
    INSTALLATION,
    SECRET,
    Case,
    Look,
    case,
    project,
    run,
    variable_set,
    workspace,
)

NEW = NewVariable("terraform", "z", {"value": "1"})
LOOKUPS: Mapping[str, Look] = {
    "catalogue.projects.named": lambda tx, _w: projects.named(tx, "shop"),
    "catalogue.variable_sets.named": lambda tx, _w: variable_sets.named(tx, "shop", "common"),
}

CASES: dict[str, Case] = {
    "catalogue.keys.create": case(
        "keys:manage",
        call=lambda tx, w: keys.create(tx, project(tx, w), kind="password", secret=SECRET),
    ),
    "catalogue.keys.get": case(
        "keys:manage", call=lambda tx, w: keys.get(tx, project(tx, w), "login")
    ),
    "catalogue.keys.find_all": case(
        "keys:manage", call=lambda tx, w: keys.find_all(tx, project(tx, w))
    ),
    "catalogue.keys.find_uses": case(
        "keys:manage", call=lambda tx, w: keys.find_uses(tx, project(tx, w), [])
    ),
    "catalogue.host_keys.scan": case(
        "admin", call=lambda c, _w: host_keys.scan(c, "shop", "-"), by_caller=True
    ),
    "catalogue.host_keys.add": case(
        "admin", call=lambda tx, w: host_keys.add(tx, project(tx, w), "h ssh-rsa AAAA")
    ),
    "catalogue.host_keys.remove": case(
        "admin", call=lambda tx, w: host_keys.remove(tx, project(tx, w), "h ssh-rsa AAAA")
    ),
    "catalogue.keys.update": case(
        "keys:manage",
        call=lambda c, _w: keys.update(c, "shop", "login", {"password": "y"}),
        by_caller=True,
    ),
    "catalogue.keys.delete": case(
        "keys:manage", call=lambda tx, w: keys.delete(tx, project(tx, w), "login")
    ),
    "catalogue.git_credentials.create": case(
        "keys:manage",
        call=lambda tx, w: git_credentials.create(
            tx, project(tx, w), prefix="git.example.com", key="login"
        ),
    ),
    "catalogue.git_credentials.find_all": case(
        "keys:manage", call=lambda tx, w: git_credentials.find_all(tx, project(tx, w))
    ),
    "catalogue.git_credentials.delete": case(
        "keys:manage",
        call=lambda tx, w: git_credentials.delete(tx, project(tx, w), w.git_credential_id),
    ),
    "catalogue.projects.find_all": case("runs:read", call=lambda tx, _w: projects.find_all(tx)),
    "catalogue.projects.get": case("runs:read", call=lambda tx, _w: projects.get(tx, "shop")),
    "catalogue.projects.use": case(
        "runs:read", call=lambda tx, w: projects.use(tx, project(tx, w))
    ),
    "catalogue.projects.contents": case(
        "admin", call=lambda tx, w: projects.contents(tx, project(tx, w))
    ),
    "catalogue.projects.create": case(
        INSTALLATION, call=lambda tx, _w: projects.create(tx, name="other")
    ),
    "catalogue.projects.update": case(
        "admin", call=lambda tx, w: projects.update(tx, project(tx, w), description="x")
    ),
    "catalogue.projects.pin_host_keys": case(
        PIN_HOSTS, call=lambda tx, w: projects.pin_host_keys(tx, project(tx, w), "h ssh-rsa x")
    ),
    "catalogue.projects.delete": case(
        INSTALLATION, call=lambda tx, w: projects.delete(tx, project(tx, w))
    ),
    "catalogue.templates.create": case(
        "templates:manage",
        call=lambda tx, w: templates.create(tx, project(tx, w), repository="https://h.example/x"),
    ),
    "catalogue.templates.unsaved": case(
        "templates:manage",
        call=lambda tx, w: templates.unsaved(tx, project(tx, w), repository="https://h.example/x"),
    ),
    "catalogue.templates.get": case(
        "runs:read", call=lambda tx, w: templates.get(tx, project(tx, w), "app")
    ),
    "catalogue.templates.find_all": case(
        "runs:read", call=lambda tx, w: templates.find_all(tx, project(tx, w))
    ),
    "catalogue.templates.update": case(
        "templates:manage",
        call=lambda tx, w: templates.update(tx, project(tx, w), "app", path="x"),
    ),
    "catalogue.templates.delete": case(
        "templates:manage", call=lambda tx, w: templates.delete(tx, project(tx, w), "app")
    ),
    "catalogue.effective.find_all": case(
        "runs:read", call=lambda tx, w: effective.find_all(tx, workspace(tx, w))
    ),
    "catalogue.run_variables.checked": case(
        "runs:create",
        call=lambda tx, w: run_variables.checked(
            tx, workspace(tx, w), run(tx, w).template, "plan", []
        ),
    ),
    "catalogue.run_variables.store": case(
        "runs:create", call=lambda tx, w: run_variables.store(tx, run(tx, w), [NEW])
    ),
    "catalogue.run_variables.kept": case(
        "runs:create", call=lambda tx, w: run_variables.kept(tx, run(tx, w))
    ),
    "catalogue.run_variables.find_all": case(
        any_of=("runs:read", "runs:create"),
        call=lambda tx, w: run_variables.find_all(tx, run(tx, w)),
    ),
    "catalogue.variable_sets.create": case(
        "templates:manage", call=lambda tx, w: variable_sets.create(tx, project(tx, w), "other")
    ),
    "catalogue.variable_sets.get": case(
        "runs:read", call=lambda tx, w: variable_sets.get(tx, project(tx, w), "common")
    ),
    "catalogue.variable_sets.find_counts": case(
        "runs:read", call=lambda tx, w: variable_sets.find_counts(tx, project(tx, w), [])
    ),
    "catalogue.variable_sets.find_users": case(
        "runs:read", call=lambda tx, w: variable_sets.find_users(tx, variable_set(tx, w))
    ),
    "catalogue.variable_sets.find_all": case(
        "runs:read", call=lambda tx, w: variable_sets.find_all(tx, project(tx, w))
    ),
    "catalogue.variable_sets.update": case(
        "templates:manage",
        call=lambda tx, w: variable_sets.update(tx, variable_set(tx, w), {"description": "x"}),
    ),
    "catalogue.variable_sets.delete": case(
        "templates:manage", call=lambda tx, w: variable_sets.delete(tx, variable_set(tx, w))
    ),
    "catalogue.variable_sets.choose": case(
        "templates:manage",
        call=lambda tx, w: variable_sets.choose(tx, workspace(tx, w), ["common"]),
    ),
    "catalogue.variables.create": case(
        "templates:manage",
        call=lambda tx, w: variables.create(
            tx, workspace(tx, w), NewVariable("terraform", "y", {"value": "1"})
        ),
    ),
    "catalogue.variables.put": case(
        "templates:manage",
        call=lambda tx, w: variables.put(tx, workspace(tx, w), "terraform/x", {"value": "1"}),
    ),
    "catalogue.variables.get": case(
        "runs:read", call=lambda tx, w: variables.get(tx, workspace(tx, w), "terraform/x")
    ),
    "catalogue.variables.find_all": case(
        "runs:read", call=lambda tx, w: variables.find_all(tx, workspace(tx, w))
    ),
    "catalogue.variables.update": case(
        "templates:manage",
        call=lambda tx, w: variables.update(tx, workspace(tx, w), "terraform/x", {"value": "2"}),
    ),
    "catalogue.variables.delete": case(
        "templates:manage",
        call=lambda tx, w: variables.delete(tx, workspace(tx, w), "terraform/x"),
    ),
}
