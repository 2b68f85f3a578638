"""Who did what: one entry for every mutation and every reading of a state."""

from __future__ import annotations

from backend.audit.entries import record

__all__ = ["record"]
