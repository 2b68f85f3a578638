"""The outputs in a state document, for those who may read outputs and not the state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from backend import audit
from backend.errors import Conflict
from backend.models import State, StateVersion
from backend.principal import Principal


class Output(msgspec.Struct, frozen=True):
    """`value` is None when it is sensitive and hidden."""

    value: Any = None
    type: Any = None
    sensitive: bool = False


class _Document(msgspec.Struct):
    outputs: dict[str, Output] = {}


def read(version: StateVersion, content: Iterable[bytes]) -> dict[str, Output]:
    """Every output with its value. Raises Conflict when OpenTofu sealed the state itself."""
    if version.encrypted:
        raise Conflict(
            "OpenTofu encrypted this state itself: only its own passphrase opens the outputs.",
            code="state-encrypted",
        )
    try:
        return msgspec.json.decode(b"".join(content), type=_Document).outputs
    except msgspec.ValidationError:
        return {}  # a document without outputs in the form that terraform writes


def masked(outputs: dict[str, Output]) -> dict[str, Output]:
    """The same with the values of sensitive ones left out."""
    return {
        name: Output(None, output.type, sensitive=True) if output.sensitive else output
        for name, output in outputs.items()
    }


def note_revealed(db: Session, principal: Principal, state: State) -> None:
    """Somebody asks for the sensitive ones too. Raises Forbidden without state:read."""
    principal.require("state:read", state.project_id)
    audit.record(db, principal, "outputs.reveal", state.id, project_id=state.project_id)
