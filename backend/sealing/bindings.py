"""Bindings: the bytes that tie a sealed object to what it is.

A sealed object only opens with the binding that it was sealed with, so one that was swapped with
another or with an older one does not open. These functions must never give other bytes.
"""

from __future__ import annotations

from backend.sealing.crypto import bind

CANARY = bind("canary", 1)
AUDIT_KEY = bind("audit-key", 1)
PROOF_KEY = bind("proof-key", 1)


def document(state_id: str, number: int | None, lineage: str | None, serial: int | None) -> bytes:
    """The binding of a state version, or without a number of a rescued write."""
    return bind("state", state_id, number, lineage, serial)


def key(key_id: str) -> bytes:
    return bind("key", key_id)


def variable(variable_id: str) -> bytes:
    return bind("variable", variable_id)


def plan(run_id: str, epoch: int, number: int) -> bytes:
    """The binding of a piece of what the planning of a run left, in this epoch."""
    return bind("plan", run_id, epoch, number)


def drift(workspace_id: str) -> bytes:
    return bind("drift", workspace_id)


def plan_document(run_id: str, epoch: int, kind: str, number: int) -> bytes:
    """The binding of a part of what a plan says, which this claim made."""
    return bind("plan-document", run_id, epoch, kind, number)


def log(run_id: str, start: int) -> bytes:
    return bind("log", run_id, start)
