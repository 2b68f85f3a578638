"""The things that operations are tried on, and the table of operations."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backend.catalogue import git_credentials, keys, projects, variable_sets, variables
from backend.catalogue.variables import NewVariable
from backend.documents import intake
from backend.documents.intake import Incoming, Received
from backend.models import Project, RescuedWrite, Run, State, VariableSet, Workspace
from backend.people import members, users
from backend.principal import Principal
from backend.runs import queue
from backend.states import aliases, rescued, states, workspaces
from backend.states.workspaces import NewWorkspace
from backend.transactions import Installation, Transaction
from tests.support import kept_plans
from tests.support.documents import state_document

INSTALLATION = "installation"  # an administrator of the whole installation
LINEAGE = "11111111-2222-3333-4444-555555555555"
AT = ("shop", "app")
SECRET = keys.Secret(username="me", sealed={"password": "x"})

Look = Callable[[Transaction, "World"], object]


@dataclass(frozen=True)
class World:
    """A project `shop` with a workspace `app` and one of everything in it, by id."""

    here: Installation
    project_id: str
    workspace_id: str
    state_id: str
    run_id: str
    rescued_id: str
    git_credential_id: str
    address: str

    def document(self, serial: int = 9) -> Received:
        return _received(self.here, state_document(serial, lineage=LINEAGE))

    def principal(self, *scopes: str, **more: Any) -> Principal:
        """A token of the project; it stands in no table, so that it has no parent."""
        given = {"project_id": self.project_id, "run_id": None, "run_epoch": None} | more
        return Principal(name="somebody", token_id="", scopes=frozenset(scopes), **given)


@dataclass(frozen=True)
class Case:
    """An operation: the scopes that it needs, all of them, and how it is called."""

    scopes: tuple[str, ...]
    call: Callable[[Any, World], object]
    any_of: tuple[str, ...] = ()  # one of these is enough
    by_caller: bool = False
    by_arrival: bool = False
    as_run: bool = False


def case(*scopes: str, call: Callable[[Any, World], object], **more: Any) -> Case:
    return Case(scopes, call, **more)


def project(tx: Transaction, w: World) -> Project:
    return tx.db.get_one(Project, w.project_id)


def workspace(tx: Transaction, w: World) -> Workspace:
    return tx.db.get_one(Workspace, w.workspace_id)


def variable_set(tx: Transaction, w: World) -> VariableSet:
    return variable_sets.in_project(tx.db, project(tx, w), "common")


def state(tx: Transaction, w: World) -> State:
    return tx.db.get_one(State, w.state_id)


def run(tx: Transaction, w: World) -> Run:
    return tx.db.get_one(Run, w.run_id)


def kept(tx: Transaction, w: World) -> RescuedWrite:
    return tx.db.get_one(RescuedWrite, w.rescued_id)


def incoming(serial: int) -> Incoming:
    return Incoming(io.BytesIO(state_document(serial, lineage=LINEAGE)))


def build(here: Installation) -> World:
    """A project with one of everything."""
    with here.itself.transaction() as tx:
        shop = projects.create(tx, name="shop")
        repository = "https://h.example/app"
        workspaces.create_template(tx, shop, NewWorkspace("app"), name="app", repository=repository)
        app = workspaces.named(tx, *AT)
        variables.create(tx, app, NewVariable("terraform", "x", {"value": "1"}))
        variable_sets.create(tx, shop, "common")
        keys.create(tx, shop, kind="password", secret=SECRET, name="login")
        opens = git_credentials.create(tx, shop, prefix="h.example/modules", key="login")
        users.create(tx, "ann")
        members.put(tx, shop, "ann", "manager")
        at = states.of_workspace(tx.db, app)
        laptop, _ = aliases.create(tx, at, aliases.NewAlias("laptop", "read-write"))
        queued = queue.queue(tx, app, queue.NewRun("apply"))
        for serial in (1, 2):
            states.write(tx, at, _received(here, state_document(serial, lineage=LINEAGE)), None)
        late = _received(here, state_document(1, lineage=LINEAGE, size=999))
        refused = rescued.keep(tx, at, late, "serial-too-low")
        assert refused is not None
        kept_plans.keep(tx, queued.id, b"")
        return World(here, shop.id, app.id, at.id, queued.id, refused.id, opens.id, laptop.address)


def _received(here: Installation, document: bytes) -> Received:
    return intake.receive(io.BytesIO(document), 10**6, here.blobs)
