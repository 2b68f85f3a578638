from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Response
from pydantic import Field

from backend.catalogue import projects
from backend.documents import diff
from backend.errors import Unavailable
from backend.models import StateVersion
from backend.offload import off_loop
from backend.states import comparing, states, workspaces
from backend.web.api.answers import Answer, Query, answer, blueprint, problems
from backend.web.api.locks import WorkspacePath
from backend.web.current import installation, principal, transaction

bp = blueprint("diff", "What is different between two versions of a state")

AT_ONCE = 2  # each may take a few hundred MB, and a thread that writes of states wait for too
PATIENCE_SECONDS = 20.0

_WHICH = r"^([1-9][0-9]{0,8}|latest)$"
_ROOM = threading.BoundedSemaphore(AT_ONCE)


class Versions(Query):
    before: str | None = Field(
        None,
        alias="from",
        pattern=_WHICH,
        description="A number, or `latest`; without it the version before the other one",
    )
    after: str = Field("latest", alias="to", pattern=_WHICH, description="A number, or `latest`")


class Change(Answer):
    path: str = Field(description="`tags.Name`, `ingress[0].from_port`; of an output: its name")
    before: Any = Field(description="Null: it was not there, or null")
    after: Any = Field(description="Null: it is not there, or null")
    hidden: bool = Field(description="It is a secret, or has one: `(sensitive)` is in its place")


class Resource(Answer):
    address: str
    data: bool = Field(description="Read by the tool, not managed")


class ChangedResource(Resource):
    changes: list[Change] = Field(description="The attributes that are different")


class Diff(Answer):
    from_version: int | None = Field(description="Null: none came before, and all was added")
    to_version: int
    added: list[Resource]
    removed: list[Resource]
    changed: list[ChangedResource]
    unchanged: int = Field(description="Instances of resources")
    outputs: list[Change]


@bp.get(
    "/projects/<project>/workspaces/<workspace>/states/diff",
    responses={200: Diff, **problems(409, 410, 500)},
)
def diff_states(path: WorkspacePath, query: Versions) -> Response:
    """What is different between two versions, without their secrets. This is audited.

    By default between the newest version and the one before.
    """
    with transaction() as db:
        project = projects.get(db, principal(), path.project, "state:read")
        state = states.of_workspace(db, workspaces.get(db, project, path.workspace))
        pair = comparing.read(db, principal(), state, query.before, query.after)
    with _room():
        before = comparing.NOTHING if pair.before is None else _document(pair.before)
        found = off_loop(diff.diff, before, _document(pair.after))
    numbers = None if pair.before is None else pair.before.number, pair.after.number
    return _answer(found, *numbers)


@contextmanager
def _room() -> Iterator[None]:
    if not _ROOM.acquire(timeout=PATIENCE_SECONDS):
        raise Unavailable("Too many states are being compared. Try again.", code="busy")
    try:
        yield
    finally:
        _ROOM.release()


def _document(version: StateVersion) -> bytes:
    here = installation()
    return b"".join(states.content(version, here.keyring, here.blobs))


def _answer(found: diff.Diff, before: int | None, after: int) -> Response:
    parts = ("added", "removed", "changed", "unchanged", "outputs")
    shown = {name: getattr(found, name) for name in parts}
    return answer(Diff(from_version=before, to_version=after, **shown))
