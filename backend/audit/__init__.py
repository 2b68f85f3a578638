"""The audit log: one entry for each change, and for each time that somebody reads a state."""

from __future__ import annotations

from backend.audit.entries import record

__all__ = ["record"]
