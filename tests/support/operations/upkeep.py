"""Operations on the whole installation."""

from __future__ import annotations

from backend.upkeep import metrics, rotation
from tests.support.operations.world import INSTALLATION, Case, case

CASES: dict[str, Case] = {
    "upkeep.metrics.collect": case(INSTALLATION, call=lambda tx, _w: list(metrics.collect(tx))),
    "upkeep.rotation.activate": case(
        INSTALLATION, call=lambda tx, w: rotation.activate(tx, w.here.keyring.current)
    ),
    "upkeep.rotation.drop": case(
        INSTALLATION, call=lambda c, w: rotation.drop(c, w.here.keyring.current), by_caller=True
    ),
}
