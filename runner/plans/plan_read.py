"""A plan as it was read: counts and addresses for programs, values for people."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Raw, Struct

from runner.plans import document, values
from runner.plans.document import EntryBody, Invocation
from runner.plans.hiding import HIDDEN
from runner.plans.secrets import Secrets
from runner.plans.values import Values

Summary = Mapping[str, int]

COUNTS = (
    *("add", "change", "destroy", "replace", "import", "move", "forget", "read"),
    *("actions", "outputs"),
)
_PIECE_BYTES = 1 << 20


class ResourceChange(Struct, frozen=True, gc=False):
    """One resource instance, or one object that was replaced before and is still there (deposed).

    Nothing here is ever masked. `actions` and `reason` are the tool's words.
    """

    address: str
    previous_address: str | None
    deposed: str | None
    mode: str  # managed, data, ephemeral
    type: str
    name: str
    provider: str
    actions: tuple[str, ...]
    reason: str | None
    importing: str | None  # the id of the thing that is imported; "" if it has an identity instead
    _raw: Raw

    @property
    def action(self) -> str:
        """One word: no-op create update delete replace read forget."""
        if len(self.actions) == 2 and "create" in self.actions:
            return "replace"
        if self.mode == "ephemeral":  # opened anew by each command, and never stored
            return "no-op"
        return "+".join(self.actions) or "no-op"

    @property
    def destroys(self) -> bool:
        return "delete" in self.actions and self.mode == "managed"

    @property
    def moves(self) -> bool:
        return self.previous_address not in (None, self.address)

    @property
    def is_change(self) -> bool:
        return self.action != "no-op" or self.moves or self.importing is not None


class OutputChange(Struct, frozen=True, gc=False):
    name: str
    actions: tuple[str, ...]
    _raw: Raw

    @property
    def action(self) -> str:
        return "+".join(self.actions) or "no-op"


@dataclass(frozen=True)
class PlanRead:
    """Everything in a plan that Stateroom decides on and shows.

    `resources` has also those that do not change. `drift` is what was changed outside since the
    state was written; with a refresh-only plan that is all there is. `has_changes` is the exit code
    of the plan.

    `summary` counts what the tool counts: a replacement is in `add`, `destroy` and `replace`.
    `read` are data sources that are read by the apply, and `actions` invocations of actions.
    """

    summary: Summary
    has_changes: bool
    resources: Sequence[ResourceChange]
    outputs: Sequence[OutputChange]
    drift: Sequence[ResourceChange]
    invocations: Sequence[Invocation]
    missing_variables: Sequence[str]  # ephemeral ones: the apply needs them again
    sensitive: frozenset[str] = field(repr=False)  # the texts that the plan marks as sensitive
    size: int  # bytes of the JSON
    _content: mmap.mmap = field(repr=False)
    _secrets: Secrets = field(repr=False)

    def values(self, change: ResourceChange) -> Values:
        """What is shown of its values. They are read from the file each time."""
        body = document.body_of(document.decoded(change._raw, EntryBody).change)  # noqa: SLF001
        return values.shown(body, self._secrets, schema=1)

    def output(self, change: OutputChange) -> Values:
        return values.shown(document.body_of(change._raw), self._secrets, schema=0)  # noqa: SLF001

    def masked(self, text: str) -> str:
        """A text that belongs to a change, without secrets."""
        return self._secrets.masked(text) or HIDDEN if text else ""

    def deletions(self) -> tuple[str, ...]:
        """The addresses of everything that is destroyed, or replaced."""
        return tuple(change.address for change in self.resources if change.destroys)

    def raw(self) -> Iterator[bytes]:
        """The JSON as the tool wrote it, in pieces, with its secrets in clear."""
        for start in range(0, self.size, _PIECE_BYTES):
            yield self._content[start : start + _PIECE_BYTES]
