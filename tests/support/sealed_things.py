"""An installation with one sealed object of each kind, and their clear texts."""

from __future__ import annotations

import io
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend.db import now
from backend.documents.intake import IN_COLUMN, download, receive
from backend.models import (
    Canary,
    Drift,
    Key,
    LogChunk,
    PlanDocument,
    PlanPiece,
    Project,
    RescuedWrite,
    Run,
    State,
    StateVersion,
    Template,
    Variable,
    VariableSet,
    Workspace,
)
from backend.runs import plan_documents
from backend.runs.plan_documents import Part
from backend.sealing import bindings, crypto, keyring_file
from backend.sealing.keyring import Envelope, Keyring
from backend.transactions import Installation
from backend.upkeep import rotation
from backend.upkeep.rotation import SETTLED, Rewrapper
from tests.support.documents import state_document

SMALL, LARGE = state_document(1), state_document(2, size=IN_COLUMN + 5000)
VALUES = {"v": b"value", "v-of-run": b"value of a run", "v-of-set": b"value of a set"}
EVERYTHING = [
    *(SMALL, LARGE, SMALL, b"secret", *VALUES.values(), b"piece", b"drift"),
    *(b"log", b"log", b"plan"),
]
TABLES = [
    *("drifts", "keys", "log_chunks", "plan_documents", "plan_pieces", "rescued_writes"),
    *("state_versions", "variables"),
]


def fill(here: Installation) -> None:
    """State `s` has a small version, a large one, and one that was removed."""
    ring = here.keyring
    with here.itself.transaction() as tx:
        tx.db.add(Project(id="p", name="shop"))
        tx.db.flush()
        tx.db.add(Template(id="t", project_id="p", name="app", repository="x"))
        tx.db.flush()
        tx.db.add(Workspace(id="w", project_id="p", template_id="t", name="app"))
        tx.db.flush()
        tx.db.add(State(id="s", project_id="p", workspace_id="w", current=3))
        of_run = {"project_id": "p", "template_id": "t", "workspace_id": "w", "created_by": "me"}
        tx.db.add(Run(id="r", operation="plan", **of_run))
        secret = crypto.seal_value(ring, b"secret", bindings.key("k"))
        tx.db.add(Key(id="k", project_id="p", name="login", kind="password", secret=secret))
        tx.db.add(Key(id="n", project_id="p", name="none", kind="none"))
        tx.db.add(VariableSet(id="set", project_id="p", name="common"))
        tx.db.flush()
        owners = {
            "v": {"workspace_id": "w"},
            "v-of-run": {"run_id": "r"},
            "v-of-set": {"set_id": "set"},
        }
        for name, clear in VALUES.items():
            value = crypto.seal_value(ring, clear, bindings.variable(name))
            tx.db.add(Variable(id=name, kind="terraform", name="x", value=value, **owners[name]))
        found = crypto.seal_value(ring, b"drift", bindings.drift("w"))
        counts = dict.fromkeys(("resources", "outputs", "unimportant"), 0)
        tx.db.add(Drift(workspace_id="w", run_id="r", looked_at=now(), partial=False, sealed=found,
                        **counts))  # fmt: skip
        tx.db.flush()
        for start in (0, 3):
            piece = crypto.seal_value(ring, b"log", bindings.log("r", start))
            tx.db.add(LogChunk(run_id="r", start=start, length=3, sealed=piece))
        tx.db.add(plan_documents.seal(ring, "r", 2, Part("page", 7, b"plan")))
        planned = crypto.seal_value(ring, b"piece", bindings.plan("r", 1, 0))
        tx.db.add(PlanPiece(run_id="r", epoch=1, number=0, sealed=planned))
        add_version(here, tx.db, 1, SMALL)
        add_version(here, tx.db, 2, LARGE)
        removed = add_version(here, tx.db, 3, SMALL)
        removed.wrapped_key, removed.sealed, removed.removed_because = b"", None, "retention"
        removed.removed_at = removed.created_at
        kept = _columns(here, SMALL, None)
        tx.db.add(RescuedWrite(id="rw", state_id="s", reason="serial-too-low", **kept))


def add_version(here: Installation, db: Session, number: int, body: bytes) -> StateVersion:
    columns = _columns(here, body, number)
    version = StateVersion(id=f"sv{number:06}", state_id="s", number=number, **columns)
    db.add(version)
    db.flush()
    return version


def _columns(here: Installation, body: bytes, number: int | None) -> dict[str, Any]:
    document = receive(io.BytesIO(body), 10**8, here.blobs)
    heading = document.heading
    aad = bindings.document("s", number, heading.lineage, heading.serial)
    envelope = here.keyring.wrap(document.data_key, aad)
    return {
        "serial": heading.serial, "lineage": heading.lineage, "size": document.size,
        "md5": document.md5, "sha256": document.sha256, "created_by": "me",
        "key_id": envelope.key_id, "wrapped_key": envelope.wrapped_key,
        "sealed": document.ciphertext, "blob": document.blob,
    }  # fmt: skip


def opened(here: Installation, keyring: Keyring) -> list[bytes]:
    """Everything that is sealed, in clear: the content of EVERYTHING."""
    found = []
    with here.itself.reading() as tx:
        kept = StateVersion.wrapped_key != b""
        for row in (
            *tx.db.scalars(select(StateVersion).where(kept).order_by(StateVersion.id)),
            *tx.db.scalars(select(RescuedWrite)),
        ):
            number = row.number if isinstance(row, StateVersion) else None
            aad = bindings.document(row.state_id, number, row.lineage, row.serial)
            data_key = keyring.unwrap(Envelope(row.key_id, row.wrapped_key), aad)
            found.append(b"".join(download(data_key, row.sealed, row.blob, here.blobs)))
        key = tx.db.get_one(Key, "k")
        found.append(crypto.open_value(keyring, key.secret or b"", bindings.key("k")))
        for variable in tx.db.scalars(select(Variable).order_by(Variable.id)):
            bound = bindings.variable(variable.id)
            found.append(crypto.open_value(keyring, variable.value, bound))
        planned = tx.db.get_one(PlanPiece, ("r", 1, 0))
        found.append(crypto.open_value(keyring, planned.sealed, bindings.plan("r", 1, 0)))
        drift = tx.db.get_one(Drift, "w")
        found.append(crypto.open_value(keyring, drift.sealed, bindings.drift("w")))
        pieces = tx.db.scalars(select(LogChunk).order_by(LogChunk.start)).all()
        plan = tx.db.scalars(select(PlanDocument)).one()
    found += [
        crypto.open_value(keyring, piece.sealed, bindings.log("r", piece.start)) for piece in pieces
    ]
    of_plan = bindings.plan_document("r", 2, "page", 7)
    return [*found, crypto.open_value(keyring, plan.sealed, of_plan)]


def rotate(here: Installation) -> str:
    """A fresh key that seals from now on."""
    assert here.keyring.path
    key_id = keyring_file.add(here.keyring.path)
    with here.itself.transaction() as tx:
        rotation.activate(tx, key_id)
    return key_id


def rewrap_all(here: Installation) -> Rewrapper:
    rewrapper = Rewrapper(here.database, here.keyring)
    while rewrapper.step():
        pass
    return rewrapper


def settle(here: Installation) -> None:
    """Move the last rotation into the past."""
    with here.itself.transaction() as tx:
        tx.db.execute(update(Canary).values(created_at=now(-SETTLED - SETTLED)))
