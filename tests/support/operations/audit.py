"""Operations on the audit log."""

from __future__ import annotations

from backend.audit import entries, export, verify
from backend.audit.entries import Filter
from tests.support.operations.world import INSTALLATION, Case, case

PARTS = {"audit.entries.record"}  # an entry belongs to whatever it tells of

CASES: dict[str, Case] = {
    "audit.entries.find_all": case(
        "admin", call=lambda tx, w: entries.find_all(tx, Filter(w.project_id))
    ),
    "audit.export.export": case(
        "admin", call=lambda c, w: export.export(c, Filter(w.project_id)), by_caller=True
    ),
    "audit.verify.verify": case(INSTALLATION, call=lambda c, _w: verify.verify(c), by_caller=True),
}
