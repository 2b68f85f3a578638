"""Who may write a state, and not delete it, cannot remove its history by writing."""

from __future__ import annotations

from contextlib import closing

from backend.upkeep import installation
from backend.upkeep.reconciler import Reconciler
from tests.support.api import Api
from tests.support.documents import lock_info, state_document
from tests.support.place import Place

WORKSPACE = "/projects/{project}/workspaces/{workspace}"
CYCLES = 130  # more than the versions that are kept by number


def prune(place: Place) -> None:
    """Look at every state of the installation at least once."""
    here = installation.existing(place._settings)
    with closing(here.database):
        reconciler = Reconciler(here)
        while reconciler.prune() == place._settings.poll_seconds:
            pass


def test_many_writes_leave_the_first_version_where_it_was(place: Place) -> None:
    original = state_document(1, lineage="a")
    assert place.state.write(original).status == 200
    writer = place.with_scopes("state:read", "state:write")

    for serial in range(2, CYCLES + 2):
        info = lock_info()
        assert writer.lock(info).status == 200
        assert writer.write(state_document(serial, lineage="a"), info["ID"]).status == 200
        assert writer.unlock(info).status == 200
    prune(place)

    assert [version["number"] for version in place.versions()][-1] == 1
    assert place.api.send("GET", f"{place.filled(WORKSPACE)}/states/1/download").body == original


def test_a_writer_neither_unpins_nor_deletes_nor_shortens_the_history(place: Place) -> None:
    for serial in (1, 2):
        place.state.write(state_document(serial, lineage="a"))
    path = place.filled(WORKSPACE)
    place.api.patch(f"{path}/states/1", pinned=True)
    scopes = ("state:read", "state:write", "templates:manage", "runs:read")
    writer = Api(place.wire, place.with_scopes(*scopes).token)

    for verb, where, body in [
        ("PATCH", f"{path}/states/1", {"pinned": False}),
        ("DELETE", f"{path}/states/1", None),
        ("PATCH", path, {"keep_versions": 1}),
        ("PATCH", path, {"keep_days": 1}),
        ("DELETE", f"{path}/states", None),
    ]:
        answer = writer.send(verb, where, body)
        assert (answer.status, answer.json()["scope"]) == (403, "state:delete"), (verb, where)

    assert [version["pinned"] for version in place.versions()] == [False, True]
