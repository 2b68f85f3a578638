"""Operations on the whole installation."""

from __future__ import annotations

from sqlalchemy import select

from backend.models import Key
from backend.transactions import Transaction
from backend.upkeep import metrics, proving, reports, rotation, storage
from tests.support.operations.world import INSTALLATION, Case, case


def a_key(tx: Transaction) -> str:
    return tx.db.scalars(select(Key.id).limit(1)).one()


CASES: dict[str, Case] = {
    "upkeep.metrics.collect": case(INSTALLATION, call=lambda tx, _w: list(metrics.collect(tx))),
    "upkeep.proving.accept": case(
        INSTALLATION, call=lambda tx, _w: proving.accept(tx, "keys", a_key(tx))
    ),
    "upkeep.reports.get": case(INSTALLATION, call=lambda tx, _w: reports.get(tx, "doctor")),
    "upkeep.reports.audit_standing": case(
        INSTALLATION, call=lambda tx, _w: reports.audit_standing(tx)
    ),
    "upkeep.reports.condition": case(INSTALLATION, call=lambda tx, _w: reports.condition(tx)),
    "upkeep.reports.note_rewrapped": case(
        INSTALLATION, call=lambda tx, _w: reports.note_rewrapped(tx, "key")
    ),
    "upkeep.reports.verify_audit": case(
        INSTALLATION, call=lambda c, _w: reports.verify_audit(c), by_caller=True
    ),
    "upkeep.reports.store_doctor": case(
        INSTALLATION, call=lambda tx, _w: reports.store_doctor(tx, {"sound": True})
    ),
    "upkeep.rotation.activate": case(
        INSTALLATION, call=lambda tx, w: rotation.activate(tx, w.here.keyring.current)
    ),
    "upkeep.storage.measure": case(INSTALLATION, call=lambda tx, _w: storage.measure(tx)),
    "upkeep.rotation.drop": case(
        INSTALLATION, call=lambda c, w: rotation.drop(c, w.here.keyring.current), by_caller=True
    ),
}
