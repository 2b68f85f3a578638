"""The variables that a run gets: which value of each counts, where it comes from, what it hides.

A later source wins: the defaults of the template's survey, the sets of the workspace in their
order, the workspace itself, the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from backend.catalogue import survey, variables
from backend.catalogue.variables import NewVariable
from backend.errors import Unreadable
from backend.models import ChosenSet, Run, Variable, VariableSet, Workspace
from backend.sealing.crypto import Keyring
from backend.sealing.faults import Fault
from backend.transactions import Transaction

SourceKind = Literal["template", "set", "workspace", "survey", "run"]


@dataclass(frozen=True)
class Source:
    """Where a value comes from; `name` is that of a set.

    The template gives defaults of its survey; `survey` is an answer to it, `run` another variable
    that the run was given.
    """

    kind: SourceKind
    name: str | None = None

    def __str__(self) -> str:
        return self.kind if self.name is None else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Winner:
    """The variable that counts of those with its kind and name, and the sources that it hides.

    `kept` is a row with a sealed value, or a default in clear.
    """

    kind: str
    name: str
    type: str
    sensitive: bool
    source: Source
    kept: Variable | str = field(repr=False)
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
    for one in _weakest_first(db, workspace, run):
        place = one.kind, one.name
        hidden = found.get(place)
        hides = () if hidden is None else (hidden.source, *hidden.hides)
        found[place] = replace(one, hides=hides)
    return [found[place] for place in sorted(found)]


def opened(
    db: Session, keyring: Keyring, workspace: Workspace, run: Run | None = None
) -> list[Opened]:
    """The variables that count with their values in clear, sorted by kind and name.

    The same inputs give an equal list, on the worker and on the server. Raises Unreadable
    `variable-unreadable`, with the name of the variable that does not open.
    """
    return [_opened(keyring, winner) for winner in winners(db, workspace, run)]


def shown(keyring: Keyring, winner: Winner) -> str | None:
    """The value as people may see it: None if it is sensitive, or cannot be opened."""
    if isinstance(winner.kept, str):
        return winner.kept
    return variables.shown(keyring, winner.kept)


def fault(keyring: Keyring, winner: Winner) -> Fault | None:
    """Why its value cannot be opened, or None if it can."""
    return None if isinstance(winner.kept, str) else variables.fault(keyring, winner.kept)


def _opened(keyring: Keyring, winner: Winner) -> Opened:
    try:
        value = _value(keyring, winner)
    except Unreadable as error:
        raise Unreadable(
            f"The value of the variable {winner.kind}/{winner.name} (of the {winner.source}) "
            f"does not open. {error.message} Delete it and create it again.",
            code="variable-unreadable",
        ) from error
    return Opened(winner.kind, winner.name, winner.type, winner.sensitive, value, winner.source)


def _value(keyring: Keyring, winner: Winner) -> str:
    return winner.kept if isinstance(winner.kept, str) else variables.opened(keyring, winner.kept)


def _weakest_first(db: Session, workspace: Workspace, run: Run | None) -> Iterator[Winner]:
    """All values, also those that lose."""
    questions = [] if workspace.template is None else workspace.template.survey
    for question in questions:
        if default := survey.default_of(question):
            yield _default(default)
    for name, variable in db.execute(_of_sets(workspace)):
        yield _kept(variable, Source("set", name))
    for variable in db.scalars(select(Variable).where(Variable.workspace_id == workspace.id)):
        yield _kept(variable, Source("workspace"))
    if run is None:
        return
    asked = {(question["kind"], question["name"]) for question in questions}
    for variable in db.scalars(select(Variable).where(Variable.run_id == run.id)):
        is_answer = (variable.kind, variable.name) in asked
        yield _kept(variable, Source("survey" if is_answer else "run"))


def _of_sets(workspace: Workspace) -> Select[str, Variable]:
    """The variables of the sets of a workspace, each with the name of its set."""
    return (
        select(VariableSet.name, Variable)
        .join(ChosenSet, ChosenSet.set_id == VariableSet.id)
        .join(Variable, Variable.set_id == VariableSet.id)
        .where(
            ChosenSet.workspace_id == workspace.id, VariableSet.project_id == workspace.project_id
        )
        .order_by(ChosenSet.position)
    )


def _kept(variable: Variable, source: Source) -> Winner:
    kind, name, sensitive = variable.kind, variable.name, variable.sensitive
    return Winner(kind, name, variable.value_type, sensitive, source, variable)


def _default(default: NewVariable) -> Winner:
    value_type, value = default.fields["type"], default.fields["value"]
    return Winner(default.kind, default.name, value_type, False, Source("template"), value)
