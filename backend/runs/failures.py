"""How runs fail: what each code means, and what a person does next.

failures.toml has the words. What a run told with its error (a variable, a host, who has the lock)
completes them when somebody reads them.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

from backend.models import Run

_FILE = Path(__file__).with_name("failures.toml")
_OTHERWISE = ("Read what happened: `stateroom runs log -p {project} {run}`.",)
_COMMAND = re.compile(r"`[^`]*`")


@dataclass(frozen=True)
class Failure:
    """`steps` are sentences with names to be filled in, the most telling one first."""

    group: str
    means: str
    steps: Sequence[str]


@cache
def catalogue() -> Mapping[str, Failure]:
    """Every failure, by its code."""
    groups: dict[str, Any] = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    phrases = _Words(groups.pop("phrases"))
    return {
        code: Failure(group, told["means"], tuple(_spoken(told["next"], phrases)))
        for group, failures in groups.items()
        for code, told in failures.items()
    }


def next_step(run: Run) -> str | None:
    """What a person does next, as a sentence with commands to type; None: the run did not fail."""
    if run.error_code is None:
        return None
    places = {
        "project": run.workspace.project.name,
        "workspace": run.workspace.name,
        "template": run.template.name,
        "run": run.id,
        "operation": run.operation,
    }
    return sentence(run.error_code, {**(run.error_facts or {}), **places})


def sentence(code: str, known: Mapping[str, Any]) -> str:
    """The next step for a code, with what is known; what is not is in capitals."""
    failure = catalogue().get(code)
    steps = failure.steps if failure else _OTHERWISE
    return filled(next((step for step in steps if _needs(step) <= {*known}), steps[-1]), known)


def filled(step: str, known: Mapping[str, Any]) -> str:
    """The sentence with what is known in it. A command is repeated for each of several values."""
    commands = _COMMAND.sub(lambda found: _each(found[0], known), step)
    return commands.format_map(_Capitals({name: _shown(value) for name, value in known.items()}))


def _spoken(told: str | Sequence[str], phrases: _Words) -> Sequence[str]:
    steps = [told] if isinstance(told, str) else told
    return [step.format_map(phrases) for step in steps]


def _needs(step: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(step) if name}


def _each(command: str, known: Mapping[str, Any]) -> str:
    several = [name for name in sorted(_needs(command)) if isinstance(known.get(name), list)]
    if not several:
        return _typed(command, known)
    name = several[0]
    return " and ".join(_typed(command, {**known, name: value}) for value in known[name])


def _typed(command: str, known: Mapping[str, Any]) -> str:
    """A command for a shell. What others wrote stays one word of it."""
    words = _Capitals({name: shlex.quote(_shown(value)) for name, value in known.items()})
    return command.format_map(words).replace("{", "{{").replace("}", "}}")


def _shown(value: Any) -> str:
    """As text in which nothing can look like a command of ours."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text.replace("`", "'")


class _Words(dict[str, str]):
    """Leaves the names that it does not know as they are."""

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"


class _Capitals(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return name.upper()
