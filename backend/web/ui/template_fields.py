"""The form of a template: what was typed, as the API's body, and a template as its fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from flask import request
from werkzeug.datastructures import MultiDict

from backend.catalogue.rules import IfBroken, Rules
from backend.catalogue.windows import DAYS
from backend.models import Template
from backend.web.api.templates import TemplateChange
from backend.web.ui import forms

STEPS = ("clone", "init", "plan", "apply", "total")
# parts of the body that a form sends whole, and what they are without a field
_WHOLE: Mapping[str, Any] = {"survey": [], "rules": {}, "timeouts": {}, "ignored_wrappers": []}
# a row is a spare one while all of these of its fields are empty
_TYPED = {
    "survey": ("name", "title", "description", "default", "choices", "pattern"),
    "rules.windows": ("zone", "from", "to", "days"),
}
_KEPT = {"ref", "tool_version", "override_file", "key", "path"}  # empty is null, or the top
_LISTS = {"allowed_refs", "variable_files", "backend_config_files"}  # empty is none of them
_ROW = re.compile(r"(survey|rules[.]windows)[.]([0-9]+)[.]([a-z]+)")
Model = TypeVar("Model", bound=TemplateChange)


def read(model: type[Model]) -> Model:
    """The form of this request as the body that creates or changes a template. Raises Invalid."""
    form = _filled(request.form)
    tops = {name.split(".")[0] for name in form}
    missing = {name: value for name, value in _WHOLE.items() if name not in tops}
    body = forms.read(model, form, **missing)
    return body.model_copy(update={"rules": tidied(body.rules)})


def tidied(rules: Rules) -> Rules:
    """The same rules, of which only those are written that are not the default."""
    written = rules.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    said = {*decisions(rules).values()}
    if len(said) == 1:
        written["if_broken"] = said.pop()
    if written.get("if_broken") == "refuse":
        del written["if_broken"]
    return Rules.model_validate(written)


def rules_of(template: Template | None) -> Rules:
    return Rules.model_validate({} if template is None else template.rules)


def days_of(words: Iterable[str]) -> set[str]:
    """The days that words like `mon-fri` and `sun` mean."""
    found: set[str] = set()
    for word in words:
        first, _, last = word.partition("-")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found |= {DAYS[n % 7] for n in range(begin, end + 1 if begin <= end else end + 8)}
    return found


def decisions(rules: Rules) -> Mapping[str, str]:
    """What happens to a run whose plan breaks each of the rules."""
    return {rule: rules.decision(rule) for rule in IfBroken.model_fields}  # type: ignore[arg-type]  # these are its rules


def _filled(form: MultiDict[str, str]) -> MultiDict[str, str]:
    """The form without empty fields and spare rows; an empty field that means null stays."""
    spare = _spare(form)
    return MultiDict(
        (name, value)
        for name, value in form.items(multi=True)
        if (value.strip() or name in _KEPT or name in _LISTS) and _row(name) not in spare
    )


def _spare(form: MultiDict[str, str]) -> set[str]:
    """The rows in which nothing was typed."""
    rows: dict[str, bool] = {}
    for name, values in form.lists():
        if match := _ROW.fullmatch(name):
            typed = match[3] in _TYPED[match[1]] and any(value.strip() for value in values)
            rows[_row(name)] = rows.get(_row(name), False) or typed
    return {row for row, is_typed in rows.items() if not is_typed}


def _row(name: str) -> str:
    match = _ROW.fullmatch(name)
    return f"{match[1]}.{match[2]}" if match else ""
