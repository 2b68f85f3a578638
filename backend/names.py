"""Names that people choose. They are part of URLs, such as the address of a state."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sqlalchemy import ColumnElement, false, or_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.errors import Conflict, Invalid
from backend.models import Base, Key, Project, Template, User, VariableSet, Workspace

MAX_LENGTH = 63
RULE = (
    f"A name consists of 1 to {MAX_LENGTH} of the characters a-z, 0-9, '.', '_' and '-', "
    "and begins and ends with a letter or a digit."
)

PATTERN = r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"

_NAME = re.compile(PATTERN[1:-1])
_ID = re.compile(r"[a-z]+_[0-9a-z]{26}")

Named = Project | Key | Template | User | VariableSet | Workspace


def check(name: str, reserved: Iterable[str] = ()) -> str:
    """Return the name if it is valid. Raises Invalid with the rule.

    A name that looks like an id is refused, because URLs accept a name or an id in the same place.
    """
    if not _NAME.fullmatch(name):
        raise Invalid(f"{name!r} cannot be a name. {RULE}", code="name-invalid", rule=RULE)
    if name in reserved or _ID.fullmatch(name):
        raise Invalid(
            f"{name!r} cannot be a name here: it has another meaning in addresses.",
            code="name-reserved",
        )
    return name


def may_be(text: str) -> bool:
    """Whether this may be a name or an id. If not, no query is needed to know that none has it."""
    return _NAME.fullmatch(text) is not None


def made_of(text: str) -> str:
    """A valid name that is as close to the text as possible, or an empty text."""
    kept = re.sub(r"[^a-z0-9._-]+", "-", text.lower())
    return kept.strip("._-")[: MAX_LENGTH - 4].strip("._-")


def free(wish: str, taken: Iterable[str]) -> str:
    """The wanted name, or if it is taken the wanted name with the first free number."""
    others = set(taken)
    numbered = (f"{wish}-{number}" for number in range(2, len(others) + 3))
    return next(name for name in (wish, *numbered) if name not in others)


def called(model: type[Named], reference: str) -> ColumnElement[bool]:
    """The condition for rows with this name or id. It is false for a text that can be neither."""
    if not _NAME.fullmatch(reference):
        return false()
    return or_(model.name == reference, model.id == reference)


def store(db: Session, row: Base, noun: str) -> None:
    """Flush the row. Raises Conflict with `name-taken` when another row has the name."""
    db.add(row)
    try:
        db.flush()
    except IntegrityError as error:
        if "unique" not in str(error.orig).lower():
            raise Conflict(f"The {noun} refers to something that was just deleted.") from None
        name = getattr(row, "name", "")
        raise Conflict(f"There is a {noun} {name!r} already.", code="name-taken") from None
