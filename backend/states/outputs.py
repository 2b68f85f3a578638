"""The outputs in a state document, for people who may read outputs but not the state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from backend import audit
from backend.errors import Conflict
from backend.models import StateVersion
from backend.offload import off_loop
from backend.states import states
from backend.transactions import Caller


class Output(msgspec.Struct, frozen=True):
    """`value` is None when it is sensitive and hidden."""

    value: Any = None
    type: Any = None
    sensitive: bool = False


class _Document(msgspec.Struct):
    outputs: dict[str, Output] = {}


@dataclass(frozen=True)
class Found:
    """The outputs of a version; its number is None when the state was never written."""

    version: int | None
    outputs: dict[str, Output]


def read(caller: Caller, project: str, workspace: str, *, show_sensitive: bool) -> Found:
    """The outputs in the newest version. Values of sensitive ones only with `show_sensitive`.

    `show_sensitive` also needs state:read, and is audited. Raises NotFound, Forbidden, Gone,
    Conflict when OpenTofu encrypted the state itself, and Unreadable.
    """
    with caller.transaction() if show_sensitive else caller.reading() as tx:
        state = states.named(tx, project, workspace)
        tx.require("outputs:read", state.project_id)
        if show_sensitive:
            tx.require("state:read", state.project_id)
            audit.record(tx, "outputs.reveal", state.id, project_id=state.project_id)
        version = states.current(tx.db, state)
    if version is None:
        return Found(None, {})
    content = states.content(version, caller.here.keyring, caller.here.blobs)
    found = off_loop(decode, version, content)
    return Found(version.number, found if show_sensitive else masked(found))


def decode(version: StateVersion, content: Iterable[bytes]) -> dict[str, Output]:
    """Every output with its value. Raises Conflict when OpenTofu encrypted the state itself."""
    if version.encrypted:
        raise Conflict(
            "OpenTofu encrypted this state itself: only its own passphrase opens the outputs.",
            code="state-encrypted",
        )
    try:
        return msgspec.json.decode(b"".join(content), type=_Document).outputs
    except msgspec.ValidationError:
        return {}  # the outputs are missing, or not in the form that terraform writes


def masked(outputs: dict[str, Output]) -> dict[str, Output]:
    """The outputs without the values of sensitive ones."""
    return {
        name: Output(None, output.type, sensitive=True) if output.sensitive else output
        for name, output in outputs.items()
    }
