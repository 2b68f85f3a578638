"""What each sealed object is bound to: swapped with another one, or an older one, it does not open.

These never change: what was sealed with one opens with the same one only.
"""

from __future__ import annotations

from backend.sealing.crypto import bind

CANARY = bind("canary", 1)
AUDIT_KEY = bind("audit-key", 1)


def document(state_id: str, number: int | None, lineage: str | None, serial: int | None) -> bytes:
    """A version of a state; without a number a rescued write."""
    return bind("state", state_id, number, lineage, serial)


def key(key_id: str) -> bytes:
    return bind("key", key_id)


def variable(variable_id: str) -> bytes:
    return bind("variable", variable_id)


def log(run_id: str, start: int) -> bytes:
    return bind("log", run_id, start)
