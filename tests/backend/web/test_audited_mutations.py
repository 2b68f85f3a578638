"""Every request that changes something leaves its entry in the audit log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import Flask
from sqlalchemy import select, update

from backend.db import now
from backend.models import AuditEntry, Run, Workspace
from backend.runs import claims
from backend.states import states
from tests.backend.runs.test_approvals import planned_in
from tests.support.caller import Caller
from tests.support.documents import state_document

P = "/projects/{project}"
W = f"{P}/workspaces/{{workspace}}"
PASSWORD = "a long enough password"


@dataclass
class World:
    """A project `shop` with the workspace `app`, and somebody who does everything in it."""

    boss: Caller
    app: Flask

    def __post_init__(self) -> None:
        self.names = {"project": "shop", "workspace": "app"}
        self.asked: set[tuple[str, str]] = set()

    def does(self, verb: str, path: str, action: str, body: Any = None, **values: Any) -> Any:
        """Send it: it has to succeed, and to leave an entry with this action. The answer."""
        before = self._entries()
        names = {name: values.pop(name) for name in re.findall(r"{(\w+)}", path) if name in values}
        where = path.format(**self.names | names)
        given = {"data": body} if isinstance(body, bytes) else {"json": body or {}}
        if verb == "DELETE":
            given = {}
        answer = self.boss.call(verb, where, query_string=values, **given)
        assert 200 <= answer.status_code < 300, (verb, where, answer.get_data(as_text=True))
        new = [(who, what) for key, (who, what) in self._entries().items() if key not in before]
        assert action in {what for _, what in new}, (verb, where, new)
        assert all(who is not None for who, what in new if what == action), new
        self.asked.add((verb, path if path.startswith("/api") else f"/api/v1{path}"))
        return answer.json

    def write(self, document: bytes) -> None:
        answer = self.boss.call("POST", "/api/terraform/state/shop/app", data=document)
        assert answer.status_code in {200, 409}, answer.get_data(as_text=True)

    def _entries(self) -> dict[str, tuple[str | None, str]]:
        with self.app.extensions["stateroom"].database.reading() as db:
            rows = db.execute(select(AuditEntry.id, AuditEntry.principal_id, AuditEntry.action))
            return {key: (who, what) for key, who, what in rows}


def people(world: World) -> None:
    world.does("POST", "/users", "user.create", {"name": "ada", "password": PASSWORD})
    world.does("PATCH", "/users/{user}", "user.update", {"is_admin": True}, user="ada")
    world.does("PUT", f"{P}/members/{{user}}", "member.put", {"role": "owner"}, user="ada")
    world.does("DELETE", f"{P}/members/{{user}}", "member.remove", user="ada")
    login = {"username": "ada", "password": PASSWORD}
    world.does("POST", "/api/login", "login", login)
    session = world.does("POST", "/login", "login", login)["access_token"]
    ada = World(Caller(world.boss.client, session), world.app)
    changed = {"old_password": PASSWORD, "password": f"{PASSWORD} too"}
    ada.does("PATCH", "/users/me", "user.password", changed)
    world.does("DELETE", "/users/{user}", "user.delete", user="ada")
    world.asked |= ada.asked


def installation(world: World) -> None:
    report = {"url": "https://s.example", "version": "1", "sound": True, "checks": []}
    world.does("PUT", "/installation/doctor", "installation.doctor", report)


def tokens(world: World) -> None:
    for path in ("/tokens", f"{P}/tokens"):
        made = world.does("POST", path, "token.issue", {"name": "ci", "scopes": ["runs:read"]})
        world.does("DELETE", f"{path}/{{token}}", "token.revoke", token=made["id"])


def settings(world: World) -> None:
    world.does("PATCH", P, "project.update", {"description": "x"})
    key = {"kind": "password", "name": "login", "username": "u", "password": "p"}
    world.does("POST", f"{P}/keys", "key.create", key)
    world.does("PATCH", f"{P}/keys/{{key}}", "key.update", {"password": "q"}, key="login")
    opens = {"prefix": "git.example.com", "key": "login"}
    made = world.does("POST", f"{P}/git-credentials", "git_credential.create", opens)
    path = f"{P}/git-credentials/{{credential}}"
    world.does("DELETE", path, "git_credential.delete", credential=made["id"])
    sent = {"repository": "https://127.0.0.1/x", "key": "login"}
    world.does("POST", f"{P}/templates/preview", "template.preview", sent)
    world.does("DELETE", f"{P}/keys/{{key}}", "key.delete", key="login")
    template = {"repository": "https://git.example.com/x.git", "name": "x"}
    world.does("POST", f"{P}/templates", "template.create", template)
    at = f"{P}/templates/{{template}}"
    world.does("PATCH", at, "template.update", {"path": "y"}, template="x")


def sets_of_variables(world: World) -> None:
    world.does("POST", f"{P}/variable-sets", "variable_set.create", {"name": "common"})
    at = f"{P}/variable-sets/{{variable_set}}"
    variables = f"{at}/variables"
    one = f"{variables}/{{variable}}"
    common = {"variable_set": "common"}
    made = world.does("POST", variables, "variable.create", {"name": "a", "value": "1"}, **common)
    named = {**common, "variable": made["id"]}
    world.does("PATCH", one, "variable.update", {"value": "2"}, **named)
    world.does("PUT", one, "variable.update", {"value": "3"}, **named)
    world.does("DELETE", one, "variable.delete", **named)
    chosen = "workspace.set_variable_sets"
    world.does("PATCH", W, chosen, {"variable_sets": ["common"]}, workspace="z")
    world.does("PATCH", W, chosen, {"variable_sets": []}, workspace="z")
    world.does("PATCH", at, "variable_set.update", {"description": "x"}, **common)
    world.does("DELETE", at, "variable_set.delete", **common)


def workspaces(world: World) -> None:
    world.does("POST", f"{P}/workspaces", "workspace.create", {"name": "y"})
    world.does("PATCH", W, "workspace.rename", {"name": "z"}, workspace="y")
    world.does("PATCH", W, "workspace.set_limits", {"keep_days": 7}, workspace="z")
    variables = f"{W}/variables"
    one = f"{variables}/{{variable}}"
    made = world.does("POST", variables, "variable.create", {"name": "a", "value": "1"})
    world.does("PATCH", one, "variable.update", {"value": "2"}, variable=made["id"])
    world.does("PUT", one, "variable.update", {"value": "3"}, variable=made["id"])
    world.does("DELETE", one, "variable.delete", variable=made["id"])
    sets_of_variables(world)
    alias = {"name": "laptop", "access": "read-only"}
    world.does("POST", f"{W}/aliases", "alias.create", alias)
    world.does("DELETE", f"{W}/aliases/{{alias}}", "alias.revoke", alias="laptop")
    world.does("POST", f"{W}/freeze", "workspace.freeze", {"reason": "audit"})
    world.does("POST", f"{W}/unfreeze", "workspace.unfreeze")
    world.does("POST", f"{W}/lock", "lock.hold", {"reason": "audit", "expires_in_minutes": 5})
    world.does("DELETE", f"{W}/lock", "lock.release", reason="done")


def history(world: World) -> None:
    at, one = f"{W}/states", f"{W}/states/{{version}}"
    world.does("POST", at, "state.import", state_document(1, lineage="l"))
    world.write(state_document(2, lineage="l"))
    world.write(state_document(3, lineage="l"))
    world.does("PATCH", one, "state.pin", {"pinned": True}, version="1")
    world.does("PATCH", one, "state.unpin", {"pinned": False}, version="1")
    world.does("DELETE", one, "state.delete_version", version="2")
    world.does("POST", f"{one}/restore", "state.restore", version="1")
    for what, action in (("promote", "state.promote"), ("dismiss", "state.dismiss")):
        world.write(state_document(2, lineage="other"))
        rescued = world.boss.get("/projects/shop/workspaces/app/rescued").json["items"][0]["id"]
        path = f"{W}/rescued/{{rescued_id}}/{what}"
        force = {"force": "true"} if what == "promote" else {}
        world.does("POST", path, action, rescued_id=rescued, **force)
        world.write(state_document(9, lineage="l"))


def ends_of_a_state(world: World) -> None:
    archived(world)
    world.does("POST", f"{W}/states/unarchive", "state.unarchive")
    world.does("DELETE", f"{W}/states", "state.delete")
    world.does("POST", f"{W}/states/undelete", "state.undelete")
    world.does("DELETE", f"{W}/states", "state.delete")
    world.does("POST", f"{W}/states/purge", "state.purge")


def archived(world: World) -> None:
    with world.app.extensions["stateroom"].database.transaction() as db:
        workspace = db.scalars(select(Workspace).where(Workspace.name == "app")).one()
        state = states.of_workspace(db, workspace)
        state.archived_at, state.archived_to = db.scalar(select(now())), "s3"


def runs_of(world: World) -> None:
    made = world.does("POST", f"{P}/runs", "run.queue")
    one = f"{P}/runs/{{run}}"
    world.does("POST", f"{one}/cancel", "run.cancel", run=made["id"])
    made = world.does("POST", f"{W}/runs", "run.queue")
    at_work(world, made["id"])
    world.does("POST", f"{one}/cancel", "run.cancel", run=made["id"])
    world.does("POST", f"{one}/force-cancel", "run.cancel", run=made["id"])
    with world.app.extensions["stateroom"].database.transaction() as db:
        db.execute(update(Run).values(status="lost", finished_at=now()))
    world.does("POST", f"{one}/acknowledge", "run.acknowledge", run=made["id"])


def decisions(world: World) -> None:
    here = world.app.extensions["stateroom"]
    with here.database.reading() as db:
        workspace = db.scalars(select(Workspace).where(Workspace.name == "app")).one()
    one = f"{P}/runs/{{run}}"
    approved = planned_in(here, workspace).id
    world.does("POST", f"{one}/comments", "run.comment", {"text": "Why?"}, run=approved)
    world.does("POST", f"{one}/approve", "run.approve", run=approved)
    world.does("POST", f"{one}/cancel", "run.cancel", run=approved)
    discarded = planned_in(here, workspace).id
    world.does("POST", f"{one}/discard", "run.discarded", run=discarded)
    again = world.does("POST", f"{one}/retry", "run.queue", run=discarded)
    world.does("POST", f"{one}/cancel", "run.cancel", run=again["id"])


def at_work(world: World, run_id: str) -> None:
    with world.app.extensions["stateroom"].itself.transaction() as tx:
        assert claims.claim(tx, run_id, "worker", timedelta(seconds=60)) is not None


def ends(world: World) -> None:
    for name in ("z", "x"):
        world.does("DELETE", W, "workspace.delete", workspace=name)
    world.does("DELETE", f"{P}/templates/{{template}}", "template.delete", template="x")
    world.does("POST", "/projects", "project.create", {"name": "empty"})
    world.does("DELETE", P, "project.delete", project="empty")


PARTS = (
    people,
    tokens,
    installation,
    settings,
    workspaces,
    history,
    runs_of,
    decisions,
    ends_of_a_state,
    ends,
)


def test_every_mutation_leaves_an_entry(boss: Caller, app: Flask, app_workspace: str) -> None:
    world = World(boss, app)

    for part in PARTS:
        part(world)

    assert mutations(app) - world.asked == set()


def mutations(app: Flask) -> set[tuple[str, str]]:
    """All that the server has, as the URL map says it."""
    return {
        (verb, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("api-")
        for verb in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    }
