"""Operations on states, and on the workspaces that have them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from backend.documents.resources import List
from backend.principal import LOCK, RESCUE
from backend.states import (
    aliases,
    archive,
    comparing,
    deleting,
    freezing,
    holds,
    locks,
    outputs,
    rescued,
    resources,
    restoring,
    retention,
    serving,
    states,
    transfers,
    trash,
    uploads,
    versions,
    workspaces,
)
from backend.states.locks import LockInfo
from backend.states.retention import Size, Surplus
from backend.states.states import Origin
from backend.states.workspaces import NewWorkspace
from tests.support.operations.world import (
    AT,
    INSTALLATION,
    Case,
    Look,
    case,
    incoming,
    kept,
    project,
    state,
    workspace,
)

PARTS = {
    "states.common_case.lock",  # serving has asked
    "states.common_case.unlock",
    "states.common_case.write",
    "states.fencing.fence",
    "states.locks.check_write",
    "states.locks.for_update",  # frees a hold whose time is over, whoever looks
    "states.locks.of_run",
    "states.locks.release_of_run",  # Stateroom itself: a lock ends with its run
    "states.refusals.largest_document",
    "states.retention.compact",
}
LOOKUPS: Mapping[str, Look] = {
    "states.states.named": lambda tx, _w: states.named(tx, *AT),
    "states.workspaces.named": lambda tx, _w: workspaces.named(tx, *AT),
}

CASES: dict[str, Case] = {
    "states.aliases.create": case(
        "templates:manage",
        "state:read",
        "keys:manage",
        call=lambda tx, w: aliases.create(
            tx, state(tx, w), aliases.NewAlias(name="b", access="read-only", key="login")
        ),
    ),
    "states.aliases.get": case(
        "state:read", call=lambda tx, w: aliases.get(tx, state(tx, w), "laptop")
    ),
    "states.aliases.find_all": case(
        "state:read", call=lambda tx, w: aliases.find_all(tx, state(tx, w))
    ),
    "states.aliases.revoke": case(
        "templates:manage", call=lambda tx, w: aliases.revoke(tx, state(tx, w), "laptop")
    ),
    "states.archive.archive": case(
        "state:write", call=lambda tx, w: archive.archive(tx, state(tx, w), "id", "s3")
    ),
    "states.archive.unarchive": case(
        "state:delete", call=lambda tx, w: archive.unarchive(tx, state(tx, w))
    ),
    "states.comparing.compare": case(
        "state:read",
        call=lambda c, _w: comparing.compare(c, *AT, None, "latest"),
        by_caller=True,
    ),
    "states.comparing.compare_rescued": case(
        "state:read",
        call=lambda c, w: comparing.compare_rescued(c, *AT, w.rescued_id),
        by_caller=True,
    ),
    "states.deleting.contents": case(
        any_of=("runs:read", "templates:manage"),
        call=lambda tx, w: deleting.contents(tx, workspace(tx, w)),
    ),
    "states.deleting.delete": case(
        "templates:manage",
        "state:delete",
        call=lambda tx, w: deleting.delete(
            tx, workspace(tx, w), deleting.Agreed(runs=True, state=True)
        ),
    ),
    "states.freezing.freeze": case(
        "state:unlock", call=lambda tx, w: freezing.freeze(tx, workspace(tx, w), "why")
    ),
    "states.freezing.unfreeze": case(
        "state:unlock", call=lambda tx, w: freezing.unfreeze(tx, workspace(tx, w))
    ),
    "states.holds.hold": case(
        "state:write",
        call=lambda tx, w: holds.hold(
            tx, state(tx, w), "why", datetime.now(UTC) + timedelta(hours=1)
        ),
    ),
    "states.holds.end": case("state:unlock", call=lambda tx, w: holds.end(tx, state(tx, w), "why")),
    "states.locks.get": case("runs:read", call=lambda tx, w: locks.get(tx, state(tx, w))),
    "states.locks.find_held": case(
        "runs:read", call=lambda tx, w: locks.find_held(tx, project(tx, w))
    ),
    "states.locks.acquire": case(
        any_of=("state:write", LOCK),
        call=lambda tx, w: locks.acquire(tx, state(tx, w), LockInfo("id")),
    ),
    "states.locks.release": case(
        any_of=("state:write", LOCK), call=lambda tx, w: locks.release(tx, state(tx, w), "id")
    ),
    "states.locks.break_lock": case(
        "state:unlock", call=lambda tx, w: locks.break_lock(tx, state(tx, w))
    ),
    "states.locks.break_any": case(
        "state:unlock", call=lambda tx, w: locks.break_any(tx, state(tx, w), "why")
    ),
    "states.outputs.read": case(
        "outputs:read",
        "state:read",
        call=lambda c, _w: outputs.read(c, *AT, show_sensitive=True),
        by_caller=True,
    ),
    "states.rescued.keep": case(
        any_of=(RESCUE, "state:write"),
        call=lambda tx, w: rescued.keep(tx, state(tx, w), w.document(), "why"),
    ),
    "states.rescued.find_all": case(
        "state:read", call=lambda tx, w: rescued.find_all(tx, state(tx, w))
    ),
    "states.rescued.find_undecided": case(
        "state:read", call=lambda tx, w: rescued.find_undecided(tx, state(tx, w))
    ),
    "states.rescued.get": case(
        "state:read", call=lambda tx, w: rescued.get(tx, state(tx, w), w.rescued_id)
    ),
    "states.rescued.download": case(
        "state:read", call=lambda tx, w: rescued.download(tx, state(tx, w), w.rescued_id)
    ),
    "states.rescued.dismiss": case(
        "state:write", call=lambda tx, w: rescued.dismiss(tx, state(tx, w), w.rescued_id)
    ),
    "states.rescued.decide": case(
        "state:write",
        call=lambda tx, w: rescued.decide(tx, state(tx, w), kept(tx, w), "dismissed"),
    ),
    "states.resources.find_all": case(
        "state:read",
        call=lambda c, _w: resources.find_all(c, *AT, "latest", List()),
        by_caller=True,
    ),
    "states.resources.get": case(
        "state:read",
        call=lambda c, _w: resources.get(c, *AT, "latest", "null_resource.a"),
        by_caller=True,
    ),
    "states.resources.summarise": case(
        "state:read", call=lambda c, _w: resources.summarise(c, *AT, "latest"), by_caller=True
    ),
    "states.resources.draw": case(
        "state:read", call=lambda c, _w: resources.draw(c, *AT, "latest"), by_caller=True
    ),
    "states.restoring.restore": case(
        "state:write", call=lambda c, _w: restoring.restore(c, *AT, "1"), by_caller=True
    ),
    "states.restoring.promote": case(
        "state:write",
        call=lambda c, w: restoring.promote(c, *AT, w.rescued_id, force=True),
        by_caller=True,
    ),
    "states.restoring.of_version": case(
        "state:write", call=lambda tx, w: restoring.of_version(tx, state(tx, w), "1")
    ),
    "states.restoring.of_rescued": case(
        "state:write", call=lambda tx, w: restoring.of_rescued(tx, state(tx, w), w.rescued_id)
    ),
    "states.restoring.roll_back": case(
        "state:write",
        call=lambda tx, w: restoring.roll_back(
            tx, state(tx, w), states.version(tx.db, state(tx, w), 1), w.document(20)
        ),
    ),
    "states.restoring.promote_written": case(
        "state:write",
        call=lambda tx, w: restoring.promote_written(
            tx, state(tx, w), kept(tx, w), w.document(20), force=True
        ),
    ),
    "states.retention.due": case("state:read", call=lambda tx, w: retention.due(tx, state(tx, w))),
    "states.retention.prune": case(
        "state:delete",
        call=lambda tx, w: retention.prune(tx, Surplus(w.state_id, w.project_id, [1])),
    ),
    "states.retention.note_size": case(
        INSTALLATION,
        call=lambda tx, w: retention.note_size(tx, Size(w.state_id, None)),
    ),
    "states.serving.read": case("state:read", call=lambda a, _w: serving.read(a), by_arrival=True),
    "states.serving.write": case(
        "state:write",
        call=lambda a, _w: serving.write(a, incoming(40), None),
        by_arrival=True,
    ),
    "states.serving.lock": case(
        any_of=("state:write", LOCK),
        call=lambda a, _w: serving.lock(a, LockInfo("id")),
        by_arrival=True,
    ),
    "states.serving.unlock": case(
        any_of=("state:write", LOCK),
        call=lambda a, _w: serving.unlock(a, LockInfo("id")),
        by_arrival=True,
    ),
    "states.serving.force_unlock": case(
        "state:unlock", call=lambda a, _w: serving.force_unlock(a), by_arrival=True
    ),
    "states.serving.delete": case(
        "state:delete", call=lambda a, _w: serving.delete(a), by_arrival=True
    ),
    "states.states.write": case(
        "state:write", call=lambda tx, w: states.write(tx, state(tx, w), w.document(), None)
    ),
    "states.states.append": case(
        "state:write",
        call=lambda tx, w: states.append(tx, state(tx, w), w.document(), Origin("upload")),
    ),
    "states.states.add": case(
        "state:write",
        call=lambda tx, w: states.add(tx, state(tx, w), w.document(), Origin("upload")),
    ),
    "states.states.at_rest": case(
        "state:write", call=lambda tx, w: states.at_rest(tx, state(tx, w), 10)
    ),
    "states.transfers.take_in": case(
        "state:write", call=lambda tx, w: transfers.take_in(tx, state(tx, w), w.document())
    ),
    "states.trash.delete": case("state:delete", call=lambda tx, w: trash.delete(tx, state(tx, w))),
    "states.trash.undelete": case(
        "state:delete", call=lambda tx, w: trash.undelete(tx, state(tx, w))
    ),
    "states.trash.revive": case(
        any_of=("state:delete", "state:write"), call=lambda tx, w: trash.revive(tx, state(tx, w))
    ),
    "states.trash.purge": case("state:delete", call=lambda tx, w: trash.purge(tx, state(tx, w))),
    "states.uploads.upload": case(
        "state:write",
        call=lambda c, _w: uploads.upload(c, *AT, incoming(30)),
        by_caller=True,
    ),
    "states.uploads.import_document": case(
        "state:write",
        call=lambda c, _w: uploads.import_document(c, *AT, incoming(31)),
        by_caller=True,
    ),
    "states.uploads.add": case(
        "state:write",
        call=lambda tx, w: uploads.add(tx, state(tx, w), w.document(), force=False),
    ),
    "states.uploads.begin_again": case(
        "state:write", call=lambda tx, w: uploads.begin_again(tx, state(tx, w), w.document())
    ),
    "states.versions.get": case(
        "state:read", call=lambda tx, w: versions.get(tx, state(tx, w), "1")
    ),
    "states.versions.find_all": case(
        "state:read", call=lambda tx, w: versions.find_all(tx, state(tx, w))
    ),
    "states.versions.find_history": case(
        "state:read", call=lambda tx, w: versions.find_history(tx, state(tx, w))
    ),
    "states.versions.download": case(
        "state:read", call=lambda tx, w: versions.download(tx, state(tx, w), "1")
    ),
    "states.versions.pin": case(
        "state:write", call=lambda tx, w: versions.pin(tx, state(tx, w), "1")
    ),
    "states.versions.unpin": case(
        "state:delete", call=lambda tx, w: versions.unpin(tx, state(tx, w), "1")
    ),
    "states.versions.delete": case(
        "state:delete", call=lambda tx, w: versions.delete(tx, state(tx, w), "1")
    ),
    "states.workspaces.create": case(
        "templates:manage",
        call=lambda tx, w: workspaces.create(tx, project(tx, w), NewWorkspace("more")),
    ),
    "states.workspaces.create_template": case(
        "templates:manage",
        call=lambda tx, w: workspaces.create_template(
            tx, project(tx, w), NewWorkspace(), repository="https://h.example/more"
        ),
    ),
    "states.workspaces.get": case("runs:read", call=lambda tx, _w: workspaces.get(tx, *AT)),
    "states.workspaces.find_all": case(
        "runs:read", call=lambda tx, w: workspaces.find_all(tx, project(tx, w))
    ),
    "states.workspaces.update": case(
        "templates:manage",
        "state:unlock",
        "state:delete",
        call=lambda tx, w: workspaces.update(
            tx, workspace(tx, w), module_key=None, lock_timeout_seconds=600, keep_days=5
        ),
    ),
}
