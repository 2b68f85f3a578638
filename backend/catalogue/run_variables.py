"""Variables of a run: given when it is queued, sealed like all others, and kept for a retry.

Who may queue runs answers the survey of the template. More than it asks for changes what the
template's author had in mind: it needs templates:manage, or a template with free variables. A
variable of the environment or of the backend block always needs templates:manage unless the survey
asks for it: it could lead programs astray, or a state somewhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import select

from backend.catalogue import effective, survey, variable_types, variables
from backend.catalogue.survey import Question
from backend.catalogue.variables import NewVariable
from backend.errors import Invalid
from backend.models import TRANSFERS, Run, Template, Variable, Workspace, new_id
from backend.transactions import Transaction

MOST = 200


def checked(
    tx: Transaction,
    workspace: Workspace,
    template: Template,
    operation: str,
    given: Sequence[NewVariable],
) -> list[NewVariable]:
    """The variables of a new run, complete and valid.

    Raises Forbidden for one that only templates:manage may give, and Invalid: `survey-invalid`
    names the fields and rules, and in `missing` the questions that have no answer.
    """
    tx.require("runs:create", workspace.project_id)
    asked = {(question["kind"], question["name"]): question for question in template.survey}
    places = [(one.kind, one.name) for one in given]
    if len(set(places)) < len(places):
        raise Invalid("A run has each variable once.", code="variable-invalid")
    _refuse_others(tx, workspace, template, [one for one in given if _place(one) not in asked])
    answers = [(asked[_place(one)], one) for one in given if _place(one) in asked]
    wrong = [
        {"field": f"body.variables.{question['name']}", "message": message}
        for question, message in _faults(answers)
    ]
    missing = _missing(tx, workspace, template, operation, places)
    wrong += [
        {"field": f"body.variables.{question['name']}", "message": "A value is required"}
        for question in missing
    ]
    if wrong:
        raise survey.refusal(wrong, missing=missing)
    return [_completed(asked.get(_place(one)), one) for one in given]


def store(tx: Transaction, run: Run, given: Sequence[NewVariable]) -> None:
    """Seal the variables of a new run, which `checked` has let through."""
    tx.require("runs:create", run.project_id)
    for one in given:
        variable = Variable(
            id=new_id("var"), run_id=run.id, kind=one.kind, name=one.name, sensitive=False,
            type="string",
        )  # fmt: skip
        variables.assign(tx.keyring, variable, {"value": "", **one.fields})
        tx.db.add(variable)
    tx.db.flush()


def kept(tx: Transaction, run: Run) -> list[NewVariable]:
    """The variables of a run, with their values, for another run. Raises Unreadable."""
    tx.require("runs:create", run.project_id)
    asked = {(question["kind"], question["name"]): question for question in run.template.survey}
    return [_kept(tx, variable, asked) for variable in find_all(tx, run)]


def _kept(
    tx: Transaction, variable: Variable, asked: Mapping[tuple[str, str], Question]
) -> NewVariable:
    value = variables.opened(tx.keyring, variable)
    question = asked.get((variable.kind, variable.name))
    if question is not None:
        value = survey.text_of(question, value)
    fields = variables.Fields(
        value=value, type=variable.value_type, sensitive=variable.sensitive
    )  # fmt: skip
    return NewVariable(variable.kind, variable.name, fields)


def find_all(tx: Transaction, run: Run) -> Sequence[Variable]:
    """The variables that a run was given, by kind and name."""
    tx.require_any(("runs:read", "runs:create"), run.project_id)
    own = select(Variable).where(Variable.run_id == run.id)
    return tx.db.scalars(own.order_by(Variable.kind, Variable.name)).all()


def _place(variable: NewVariable) -> tuple[str, str]:
    return variable.kind, variable.name


def _refuse_others(
    tx: Transaction, workspace: Workspace, template: Template, others: Sequence[NewVariable]
) -> None:
    """Check the variables that the survey does not ask for. Raises Forbidden and Invalid."""
    for one in others:
        if one.kind != "terraform" or not template.free_variables:
            hint = (
                f"The survey of the template does not ask for the variable {one.kind}/{one.name}."
            )
            tx.require("templates:manage", workspace.project_id, hint)
        variables.check_name(one.kind, one.name)
        wanted = one.fields.get("type", "string")
        variable_types.check_type(one.kind, one.name, wanted)
        variable_types.check_value(wanted, one.fields.get("value", ""))


def _faults(answers: Sequence[tuple[Question, NewVariable]]) -> list[tuple[Question, str]]:
    wrong = []
    for question, one in answers:
        wanted = survey.value_type(question)
        if one.fields.get("type", wanted) != wanted or "is_expression" in one.fields:
            wrong.append((question, f"Its type is {question['type']}: leave `type` out"))
    texts = [(question, one.fields.get("value", "")) for question, one in answers]
    return [*wrong, *survey.faults_of_answers(texts)]


def _missing(
    tx: Transaction,
    workspace: Workspace,
    template: Template,
    operation: str,
    places: Sequence[tuple[str, str]],
) -> list[Question]:
    """The required questions that neither the run nor anything else answers."""
    if operation in TRANSFERS:  # they plan nothing
        return []
    open_ones = [
        question
        for question in template.survey
        if question["required"]
        and question["default"] is None
        and (question["kind"], question["name"]) not in places
    ]
    if not open_ones:
        return []
    found = {(winner.kind, winner.name) for winner in effective.winners(tx.db, workspace)}
    return [one for one in open_ones if (one["kind"], one["name"]) not in found]


def _completed(question: Question | None, given: NewVariable) -> NewVariable:
    if question is None:
        return given
    made = survey.answered(question, given.fields.get("value", ""))
    made.fields["sensitive"] = question["sensitive"] or given.fields.get("sensitive", False)
    return made
