"""The survey of a template: the variables that are asked for when a run of it is queued."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypedDict

from backend.catalogue import patterns, variable_types, variables
from backend.catalogue.variables import NewVariable
from backend.errors import Invalid

TYPES = ("string", "number", "bool", "choice", "choices")
MOST = 100  # questions
_VALUE_TYPES = {"string": "string", "choice": "string", "choices": "hcl"}


class Question(TypedDict):
    """One variable that is asked for. A default is text, as an answer is."""

    name: str
    kind: str  # terraform, environment
    title: str
    description: str
    type: str
    choices: list[str]
    required: bool
    default: str | None
    pattern: str | None
    sensitive: bool


Survey = Sequence[Question]


def check(survey: Survey) -> list[Question]:
    """Check what a person has written. Raises Invalid `survey-invalid`, with all that is wrong."""
    wrong = [
        {"field": f"body.survey.{number}.{field}", "message": message}
        for number, question in enumerate(survey)
        for field, message in _faults(question)
    ]
    places = [(question["kind"], question["name"]) for question in survey]
    wrong += [
        {"field": f"body.survey.{number}.name", "message": f"{place[1]} is asked for twice."}
        for number, place in enumerate(places)
        if place in places[:number]
    ]
    wrong = wrong or _faults_of_patterns(survey)
    if wrong:
        raise refusal(wrong)
    return list(survey)


def default_of(question: Question) -> NewVariable | None:
    """The default as a variable, or None if there is none."""
    return None if question["default"] is None else answered(question, question["default"])


def answered(question: Question, text: str) -> NewVariable:
    """The variable that an answer gives."""
    value = _as_list(text, question) if question["type"] == "choices" else text
    fields = variables.Fields(
        value=value, type=value_type(question), sensitive=question["sensitive"]
    )
    return NewVariable(question["kind"], question["name"], fields)


def text_of(question: Question, value: str) -> str:
    """The answer that `answered` has made this value of."""
    if question["type"] != "choices":
        return value
    return value.replace("$${", "${").replace("%%{", "%{")


def value_type(question: Question) -> str:
    return _VALUE_TYPES.get(question["type"], question["type"])


def faults_of_answers(answers: Sequence[tuple[Question, str]]) -> Iterator[tuple[Question, str]]:
    """The questions whose answers break a rule, each with the rule."""
    patterned = []
    for question, text in answers:
        message = _fault_of_answer(question, text)
        if message is not None:
            yield question, message
        elif question["pattern"] is not None:
            patterned.append((question, question["pattern"], text))
    found = patterns.matched([(pattern, text) for _, pattern, text in patterned])
    for (question, pattern, _), matches in zip(patterned, found, strict=True):
        if matches is not True:
            yield question, f"It has to match the pattern {pattern}"


def refusal(wrong: Sequence[Mapping[str, str]], **facts: object) -> Invalid:
    """What tells which fields are wrong, and which rules they break."""
    said = "; ".join(f"{one['field'].removeprefix('body.')}: {one['message']}" for one in wrong)
    return Invalid(f"{said}.", code="survey-invalid", errors=list(wrong), **facts)


def _faults(question: Question) -> Iterator[tuple[str, str]]:
    """The fields that are wrong in themselves, and why."""
    try:
        variables.check_name(question["kind"], question["name"])
    except Invalid as error:
        yield "name", error.message
    kind = question["type"]
    if kind == "choices" and question["kind"] == "environment":
        yield "type", "An environment variable is no list: ask for one choice"
    if (kind in ("choice", "choices")) != bool(question["choices"]):
        yield "choices", "A choice needs choices, and nothing else has them"
    if kind == "choices" and any("," in choice for choice in question["choices"]):
        yield "choices", "A choice of several may contain no comma"
    if question["pattern"] is not None and kind != "string":
        yield "pattern", "Only a string has a pattern"
    if question["default"] is None:
        return
    if question["sensitive"]:
        yield "default", "A sensitive variable has no default, which everybody could read"
    elif (message := _fault_of_answer(question, question["default"])) is not None:
        yield "default", message


def _faults_of_patterns(survey: Survey) -> list[dict[str, str]]:
    asked = [
        (number, question, question["pattern"], question["default"])
        for number, question in enumerate(survey)
        if question["pattern"] is not None
    ]
    found = patterns.matched([(pattern, default or "") for _, _, pattern, default in asked])
    wrong = []
    for (number, _, _, default), matches in zip(asked, found, strict=True):
        if isinstance(matches, str):
            field, message = "pattern", f"It is no pattern: {matches}"
        elif default is not None and not matches:
            field, message = "default", "It does not match the pattern"
        else:
            continue
        wrong.append({"field": f"body.survey.{number}.{field}", "message": message})
    return wrong


def _fault_of_answer(question: Question, text: str) -> str | None:
    """Why this is no answer, apart from the pattern."""
    kind, choices = question["type"], question["choices"]
    if kind == "choice" and text not in choices:
        return f"It has to be one of {', '.join(choices)}"
    if kind == "choices":
        unknown = [part for part in _parts(text) if part not in choices]
        return f"It has to be a list of some of {', '.join(choices)}" if unknown else None
    if question["required"] and not text:
        return "It may not be empty"
    try:
        variable_types.check_value(value_type(question), text)
    except Invalid as error:
        return error.message.removesuffix(".")
    return None


def _parts(text: str) -> list[str]:
    """The chosen ones: a list in JSON, or separated by commas."""
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return [text]
        return [part if isinstance(part, str) else json.dumps(part) for part in found]
    return [part.strip() for part in text.split(",") if part.strip()]


def _as_list(text: str, question: Question) -> str:
    """The chosen ones as an HCL list, in the order of the choices."""
    chosen = _parts(text)
    return "[" + ", ".join(_quoted(one) for one in question["choices"] if one in chosen) + "]"


def _quoted(text: str) -> str:
    """JSON's string is one of HCL, but for templates."""
    return json.dumps(text).replace("${", "$${").replace("%{", "%%{")
