"""What can be queued in a workspace, for whoever looks at it before queueing a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backend.catalogue import effective
from backend.catalogue.effective import Source
from backend.catalogue.survey import Question
from backend.models import Project, Workspace
from backend.states import workspaces
from backend.transactions import Transaction


@dataclass(frozen=True)
class Asked:
    """A question of the survey, and what counts if nobody answers it.

    Without `source` nothing does. `value` is None too for what is sensitive, or does not open.
    """

    question: Question
    value: str | None
    source: Source | None


@dataclass(frozen=True)
class Offer:
    workspace: Workspace
    survey: Sequence[Asked]


def of_workspace(tx: Transaction, project: Project, reference: str) -> Offer:
    """The offer of a workspace, by its name or id. Raises NotFound."""
    tx.require("runs:create", project.id)
    workspace = workspaces.in_project(tx.db, project, reference)
    questions = [] if workspace.template is None else workspace.template.survey
    found = {}
    if questions:
        winners = effective.winners(tx.db, workspace)
        found = {(winner.kind, winner.name): winner for winner in winners}
    return Offer(
        workspace,
        [
            _asked(tx, question, found.get((question["kind"], question["name"])))
            for question in questions
        ],
    )


def _asked(tx: Transaction, question: Question, winner: effective.Winner | None) -> Asked:
    if winner is None:
        return Asked(question, None, None)
    return Asked(question, effective.shown(tx.keyring, winner), winner.source)
