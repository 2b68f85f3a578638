"""The variables that a run gets: which value of each counts, where it comes from, what it hides.

A later source wins: the sets of the workspace in their order, the workspace itself, the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.catalogue import variables
from backend.errors import Unreadable
from backend.models import ChosenSet, Run, Variable, VariableSet, Workspace
from backend.sealing.crypto import Keyring
from backend.transactions import Transaction

SourceKind = Literal["set", "workspace", "run"]


@dataclass(frozen=True)
class Source:
    """Where a value comes from; `name` is that of a set."""

    kind: SourceKind
    name: str | None = None

    def __str__(self) -> str:
        return self.kind if self.name is None else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Winner:
    """The variable that counts of those with its kind and name, and the sources that it hides."""

    variable: Variable
    source: Source
    hides: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Opened:
    """A variable with its value in clear. Equal lists of these are the same input of a run."""

    kind: str
    name: str
    type: str
    sensitive: bool
    value: str = field(repr=False)
    source: Source = field(compare=False)


def find_all(tx: Transaction, workspace: Workspace, run: Run | None = None) -> list[Winner]:
    """What a run of the workspace gets: this run, or one without variables of its own."""
    tx.require("runs:read", workspace.project_id)
    return winners(tx.db, workspace, run)


def winners(db: Session, workspace: Workspace, run: Run | None = None) -> list[Winner]:
    """The variables that count, sorted by kind and name."""
    found: dict[tuple[str, str], Winner] = {}
    for source, rows in _sources(db, workspace, run):
        for variable in rows:
            place = variable.kind, variable.name
            hidden = found.get(place)
            hides = () if hidden is None else (hidden.source, *hidden.hides)
            found[place] = Winner(variable, source, hides)
    return [found[place] for place in sorted(found)]


def opened(
    db: Session, keyring: Keyring, workspace: Workspace, run: Run | None = None
) -> list[Opened]:
    """The variables that count with their values in clear, sorted by kind and name.

    The same inputs give an equal list, on the worker and on the server. Raises Unreadable
    `variable-unreadable`, with the name of the variable that does not open.
    """
    return [_opened(keyring, winner) for winner in winners(db, workspace, run)]


def _opened(keyring: Keyring, winner: Winner) -> Opened:
    variable = winner.variable
    try:
        value = variables.opened(keyring, variable)
    except Unreadable as error:
        raise Unreadable(
            f"The value of the variable {variable.kind}/{variable.name} (of the {winner.source}) "
            f"does not open. {error.message} Delete it and create it again.",
            code="variable-unreadable",
        ) from error
    kind, name, sensitive = variable.kind, variable.name, variable.sensitive
    return Opened(kind, name, variable.value_type, sensitive, value, winner.source)


def _sources(
    db: Session, workspace: Workspace, run: Run | None
) -> Iterator[tuple[Source, Iterable[Variable]]]:
    """All sources from the weakest to the strongest, each with its variables."""
    of_sets = (
        select(VariableSet.name, Variable)
        .join(ChosenSet, ChosenSet.set_id == VariableSet.id)
        .join(Variable, Variable.set_id == VariableSet.id)
        .where(
            ChosenSet.workspace_id == workspace.id, VariableSet.project_id == workspace.project_id
        )
        .order_by(ChosenSet.position, VariableSet.id)
    )
    for name, variable in db.execute(of_sets):
        yield Source("set", name), [variable]
    of_workspace = select(Variable).where(Variable.workspace_id == workspace.id)
    yield Source("workspace"), db.scalars(of_workspace)
    if run is not None:
        yield Source("run"), db.scalars(select(Variable).where(Variable.run_id == run.id))
