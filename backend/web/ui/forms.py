"""What was typed into a form, as a body of the API: pages and API check it in the same words."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable
from typing import Any, TypeVar, Union, get_args, get_origin

from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import MultiDict

from backend.errors import Invalid

_FLOAT = re.compile(r"-?[0-9]+([.][0-9]+)?")
MAX_FORM_BYTES = 2_000_000
Model = TypeVar("Model", bound=BaseModel)


def read(model: type[Model], form: MultiDict[str, str] | None = None, **more: Any) -> Model:
    """The form of this request as that body, with `more` fields. Raises Invalid.

    A field `rules.windows.0.from` of the form is a value in objects and lists. An empty field is
    null where the body allows null. Lines of a text area are the items of a list. Of a check box
    the last value counts, so that a hidden field before it can say false.
    """
    return _checked(model, _nested(model, request.form if form is None else form) | more)


def asked(model: type[Model]) -> Model:
    """What the address of this page asks for, as a query of the API. Raises Invalid.

    Parameters that are empty, or of another page, do not count.
    """
    known = {field.alias or name for name, field in model.model_fields.items()}
    given = {name: value for name, value in request.args.items() if value and name in known}
    return _checked(model, given)


def _checked(model: type[Model], given: dict[str, Any]) -> Model:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        wrong = [{"field": _name(one["loc"]), "message": one["msg"]} for one in found[:20]]
        said = "; ".join(f"{one['field']}: {one['message']}" for one in wrong)
        raise Invalid(f"{said}.", code="invalid-request", errors=wrong) from None


def filled(*kept: str) -> MultiDict[str, str]:
    """The form without its empty fields, for bodies whose fields may be left out.

    Empty fields of these names are kept.
    """
    items = request.form.items(multi=True)
    return MultiDict([(name, value) for name, value in items if value or name in kept])


def text(name: str) -> str:
    """One field of the form; empty when it was not sent."""
    return str(request.form.get(name, ""))


def checked(name: str) -> bool:
    """Whether a check box of the form is checked. The hidden field before it says false."""
    return request.form.getlist(name)[-1:] == ["true"]


def typed(name: str) -> None:
    """Check that the name of what is to be deleted was typed. Raises Invalid."""
    if text("typed") != name:
        raise Invalid(
            f"Type the name {name!r} to confirm. Nothing was changed.",
            code="typed-name-wrong",
            errors=[{"field": "typed", "message": "This is another name."}],
        )


def _nested(model: type[BaseModel], form: MultiDict[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name in form:
        top = name.split(".")[0]
        field = model.model_fields.get(top)
        if field is None:
            continue
        if name == top:
            given[top] = _value(field.annotation, form.getlist(name))
        else:
            _put(given, name.split("."), model, form.getlist(name))
    return {name: _lists(value) for name, value in given.items()}


def _put(into: dict[str, Any], path: list[str], model: type[BaseModel], values: list[str]) -> None:
    """Put the values at a path of names and numbers, by the types of the models on the way."""
    kind: Any = model
    for part in path[:-1]:
        kind = _inside(kind, part)
        into = into.setdefault(part, {})
    into[path[-1]] = _value(_inside(kind, path[-1]), values)


def _inside(kind: Any, part: str) -> Any:
    """The type of a field of a model, or of an item of a list or a mapping."""
    for one in _choices(kind):
        if isinstance(one, type) and issubclass(one, BaseModel):
            field = one.model_fields.get(part)
            return None if field is None else field.annotation
        if get_origin(one) in {list, dict}:
            return get_args(one)[-1]
    return None


def _lists(value: Any) -> Any:
    """Mappings whose keys are numbers, as lists in that order; entries that are all empty go."""
    if not isinstance(value, dict):
        return value
    found = {name: _lists(inside) for name, inside in value.items()}
    if not found or not all(name.isdigit() for name in found):
        return found
    items = (found[name] for name in sorted(found, key=int))
    return [item for item in items if not _is_empty(item)]


def _is_empty(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_empty(inside) for inside in value.values())
    return value in (None, "", [], False)


def _value(kind: Any, values: list[str]) -> Any:
    """What was typed, in the type that the body wants; as it is if it does not fit."""
    choices = _choices(kind)
    last = values[-1].replace("\r\n", "\n")
    if any(get_origin(one) is list or one is list for one in choices):
        return [line for value in values for line in _lines(value)]
    if last == "" and type(None) in choices:
        return None
    if bool in choices and last in {"true", "false"}:
        return last == "true"
    if int in choices and last.strip().removeprefix("-").isdecimal():
        return int(last)
    if float in choices and _FLOAT.fullmatch(last.strip()):
        return float(last)
    return last


def _lines(value: str) -> Iterable[str]:
    return (line.strip() for line in value.splitlines() if line.strip())


def _choices(kind: Any) -> tuple[Any, ...]:
    """The types that a value may have, without what only annotates them."""
    origin = get_origin(kind)
    if origin in {Union, types.UnionType}:
        return tuple(inside for one in get_args(kind) for inside in _choices(one))
    if hasattr(kind, "__metadata__"):
        return _choices(get_args(kind)[0])
    return (kind,)


def _name(place: Iterable[str | int]) -> str:
    return ".".join(str(part)[:100] for part in place) or "the form"
