"""Makes the example: a project `shop` with people, keys, templates, workspaces, states and runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.api import Api
from tests.support.documents import lock_info, state_document
from tests.support.example import modules
from tests.support.people import PASSWORD
from tests.support.repositories import Repository
from tests.support.state_address import StateAddress
from tests.support.stateroom import Stateroom

SHOP = "/projects/shop"
ROLES = {"bob": "manager", "carol": "task_runner", "dave": "guest"}


@dataclass(frozen=True)
class Example:
    """`runs` by what they are: applied, planned, destroy, failed, drift, live."""

    room: Stateroom
    runs: dict[str, str]
    things: dict[str, str]

    @property
    def url(self) -> str:
        return self.room.url

    def session(self, name: str = "ann") -> str:
        """The secret of a new session. `ann` administers the installation."""
        return session(self.room, name)

    def at(self, path: str) -> str:
        """An address with the ids of what was made: `/projects/shop/runs/{planned}`."""
        return path.format(**self.runs, **self.things)

    def end_live_run(self) -> None:
        """Kill the run that is at work, so that the installation stops at once."""
        self.room.api.post(f"{SHOP}/runs/{self.runs['live']}/force-cancel")
        self.room.api.wait_for_run(f"{SHOP}/runs/{self.runs['live']}", "canceled", "lost")


def session(room: Stateroom, name: str) -> str:
    body = json.dumps({"username": name, "password": PASSWORD}).encode()
    answer = room.wire.send("POST", "/api/login", body, {"Content-Type": "application/json"})
    token: str = answer.json()["access_token"]
    return token


def make(room: Stateroom, folder: Path, tool: str = "terraform") -> Example:
    """Fill an installation whose server and worker are up. Takes about 20 seconds.

    The repository is made in `folder`, which the installation may clone from.
    """
    repository = Repository(folder / "shop", modules.shop())
    room.api.post("/users", name="ann", password=PASSWORD, is_admin=True)
    api = Api(room.wire, session(room, "ann"))
    things = _people_and_things(api, repository, tool)
    return Example(room, _runs(api, repository), things | _states(room, api))


def _people_and_things(api: Api, repository: Repository, tool: str) -> dict[str, str]:
    api.post("/projects", name="shop", description="The web shop and what it runs on")
    for name, role in ROLES.items():
        api.post("/users", name=name, password=PASSWORD)
        api.put(f"{SHOP}/members/{name}", role=role)
    made_key = api.post(f"{SHOP}/keys", name="deploy", kind="ssh", generate=True)
    api.post(f"{SHOP}/keys", name="registry", kind="password", username="ci", password="a" * 20)
    shared = api.post(f"{SHOP}/variable-sets", name="eu", description="What all of Europe shares")
    template = api.post(f"{SHOP}/templates", **_template(repository, tool))
    for name in ("staging", "development", "sandbox"):
        api.post(f"{SHOP}/workspaces", name=name, template="shop")
    api.post(f"{SHOP}/workspaces", name="laptop")
    at = f"{SHOP}/workspaces/production/variables"
    api.post(at, name="region", value="eu-central-1", kind="terraform")
    secret = {"name": "database_password", "value": "hunter2hunter2", "sensitive": True}
    variable = api.post(at, kind="terraform", **secret)
    in_set = api.post(f"{SHOP}/variable-sets/eu/variables", name="zone", value="eu-central-1a")
    token = api.post(f"{SHOP}/tokens", name="ci", scopes=["runs:read", "runs:create"])
    return {
        "project": "shop", "workspace": "production", "template": "shop", "key": made_key["id"],
        "variable_set": shared["name"], "template_id": template["id"], "token": token["id"],
        "variable": variable["id"], "set_variable": in_set["id"],
    }  # fmt: skip


def _template(repository: Repository, tool: str) -> dict[str, Any]:
    question = {"name": "servers", "title": "How many web servers?", "type": "number",
                "required": False}  # fmt: skip
    return {
        "name": "shop", "repository": str(repository.folder), "tool": tool,
        "workspace": {"name": "production"}, "survey": [question],
        "rules": {"most_destroys": 20, "protected": ["module.database.**"], "if_broken": "ask"},
    }  # fmt: skip


def _runs(api: Api, repository: Repository) -> dict[str, str]:
    def run(workspace: str, until: str | None, **body: Any) -> str:
        made = api.post(f"{SHOP}/workspaces/{workspace}/runs", **body)
        if until is not None:
            api.wait_for_run(f"{SHOP}/runs/{made['id']}", until)
        identity: str = made["id"]
        return identity

    def apply(workspace: str, message: str) -> str:
        return run(workspace, "applied", operation="apply", auto_approve=True, message=message)

    found = {"first": apply("production", "Build the shop")}
    apply("staging", "A place to try things")
    apply("development", "Everybody's own")
    repository.replace(modules.shop(servers=4))
    found["applied"] = apply("production", "A fourth web server for the holidays")
    found["drift"] = run("production", "planned_and_finished", operation="drift")
    repository.replace(modules.shop(servers=2, cidr="10.4.0.0/16"))
    found["planned"] = run(
        "production", "planned", operation="apply", message="Fewer servers after the holidays"
    )
    api.post(f"{SHOP}/runs/{found['planned']}/comments", text="Do we keep the fourth one?")
    found["destroy"] = run("development", "planned", operation="destroy", message="Not used")
    repository.replace(modules.shop(more=modules.BROKEN))
    found["failed"] = run(
        "staging", "errored", operation="plan", message="A certificate of our own"
    )
    repository.replace(modules.shop(servers=1, more=modules.SLOW))
    found["live"] = run(
        "sandbox", "applying", operation="apply", auto_approve=True, message="Migrate the tables"
    )
    return found


def _states(room: Stateroom, api: Api) -> dict[str, str]:
    """A state that people write from a laptop: with a lock that is held, and a refused write."""
    address = StateAddress(room.wire, "/api/terraform/state/shop/laptop", room.token)
    info = lock_info("11111111-2222-3333-4444-555555555555")
    for serial in (1, 2, 3):
        outputs = {"version": f"1.{serial}"}
        assert address.write(state_document(serial, lineage="a", outputs=outputs)).status == 200
    assert address.lock(info).status == 200
    assert address.write(state_document(9, lineage="b"), "another-lock").status in {409, 423}
    alias = api.post(f"{SHOP}/workspaces/laptop/aliases", name="ann-laptop", access="read-write")
    rescued = api.get(f"{SHOP}/workspaces/laptop/rescued")["items"]
    return {"alias": alias["id"], "rescued_id": rescued[0]["id"]}
