"""The tables. Secrets and documents are stored as sealed bytes (see sealing/crypto.py)."""

from __future__ import annotations

from backend.models.base import Base, new_id
from backend.models.catalogue import (
    ChosenSet,
    GitCredential,
    Key,
    Project,
    Template,
    Variable,
    VariableSet,
    Workspace,
)
from backend.models.drifts import Drift
from backend.models.people import Attempts, Member, Token, User
from backend.models.plans import PlanDocument
from backend.models.proven import Proven
from backend.models.records import (
    AuditEntry,
    AuditKey,
    AuditLink,
    Canary,
    IdempotencyKey,
    ProofKey,
    Report,
)
from backend.models.runs import (
    ACTIVE,
    DEFAULT_QUEUE,
    ENDED,
    HARMLESS,
    PLANNED,
    TRANSFERS,
    Comment,
    LogChunk,
    Plan,
    PlanPiece,
    Run,
    Step,
    Worker,
    came_before,
    of_claim,
)
from backend.models.states import Alias, Lock, RescuedWrite, State, StateVersion

__all__ = [
    "ACTIVE",
    "DEFAULT_QUEUE",
    "ENDED",
    "HARMLESS",
    "PLANNED",
    "TRANSFERS",
    "Alias",
    "Attempts",
    "AuditEntry",
    "AuditKey",
    "AuditLink",
    "Base",
    "Canary",
    "ChosenSet",
    "Comment",
    "Drift",
    "GitCredential",
    "IdempotencyKey",
    "Key",
    "Lock",
    "LogChunk",
    "Member",
    "Plan",
    "PlanDocument",
    "PlanPiece",
    "Project",
    "ProofKey",
    "Proven",
    "Report",
    "RescuedWrite",
    "Run",
    "State",
    "StateVersion",
    "Step",
    "Template",
    "Token",
    "User",
    "Variable",
    "VariableSet",
    "Worker",
    "Workspace",
    "came_before",
    "new_id",
    "of_claim",
]
