"""How pages show runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import quote

import msgspec

from backend.models import ACTIVE
from backend.web.api.run_answers import Run, Step
from backend.web.ui.shown import count

LONGEST = 4000  # letters of an output
ICONS = {
    **dict.fromkeys(ACTIVE, "busy"),
    **dict.fromkeys(("applied", "planned_and_finished"), "good"),
    **dict.fromkeys(("errored", "lost"), "bad"),
    "planned": "waits",
}
_COUNTS = (("add", "+"), ("change", "~"), ("destroy", "\N{MINUS SIGN}"))
_MORE = {"import": "import", "move": "move", "forget": "forgotten resource", "actions": "action",
         "outputs": "output"}  # fmt: skip
_COMMAND = re.compile(r"`([^`]+)`")
# how hosts address a commit of a repository
_COMMITS = {"github.com": "commit", "gitlab.com": "-/commit", "codeberg.org": "commit",
            "bitbucket.org": "commits"}  # fmt: skip
_ADDRESS = re.compile(
    r"(?:https://(?:[^@/]*@)?|ssh://(?:[^@/]*@)?|[a-z0-9_-]+@)"
    r"(?P<host>[a-z0-9.-]+)(?::\d+(?=/))?[:/](?P<path>[\w.~/-]+?)(?:\.git)?/?",
    re.IGNORECASE,
)


def icon(status: str) -> str:
    return ICONS.get(status, "quiet")


def lasted(run: Run) -> timedelta | None:
    """How long it was at work, without its wait for an approval; None: it has not begun."""
    if run.started_at is None:
        return None
    if run.planned_at is not None and run.approved_at is None and run.status != "applying":
        return run.planned_at - run.started_at
    waited = timedelta()
    if run.planned_at is not None and run.approved_at is not None:
        waited = max(waited, run.approved_at - run.planned_at)
    return (run.finished_at or datetime.now(UTC)) - run.started_at - waited


def counts(changes: Mapping[str, int] | None) -> list[tuple[str, str]]:
    """What a plan changes, as kinds and short texts; empty: nothing, or nobody knows yet."""
    given = changes or {}
    if not any(given.get(name) for name, _ in _COUNTS):
        return []
    return [(name, f"{sign}{given.get(name, 0):,}") for name, sign in _COUNTS]


def more_counts(changes: Mapping[str, int] | None) -> list[str]:
    """What else a plan counts, in words."""
    given = changes or {}
    return [count(given[name], noun) for name, noun in _MORE.items() if given.get(name)]


def told(text: str) -> Iterator[tuple[bool, str]]:
    """The parts of a sentence, and whether each is a command in it."""
    for at, part in enumerate(_COMMAND.split(text)):
        if part:
            yield at % 2 == 1, part


def commands(text: str) -> str:
    """The commands in a sentence, one a line."""
    return "\n".join(part for is_command, part in told(text) if is_command)


def claims(steps: Sequence[Step]) -> list[tuple[int, list[Step]]]:
    """The steps of each claim of a run, in order."""
    return [(epoch, [*own]) for epoch, own in groupby(steps, lambda step: step.epoch)]


def step_lasted(step: Step) -> timedelta:
    return (step.finished_at or datetime.now(UTC)) - step.started_at


def commit_page(repository: str | None, commit: str | None) -> str | None:
    """The address of a commit on a host that is known to have pages of commits."""
    found = _ADDRESS.fullmatch(repository or "")
    if found is None or not re.fullmatch(r"[0-9a-f]{7,64}", commit or ""):
        return None
    host = found["host"].lower()
    if host not in _COMMITS:
        return None
    return f"https://{host}/{quote(found['path'])}/{_COMMITS[host]}/{commit}"


def as_word(text: str) -> str:
    """As one word of a command."""
    return shlex.quote(text)


def detected(detection: Mapping[str, Any]) -> str:
    """Where the sources configure their backend: `main.tf:3`; empty: nowhere."""
    file, line = detection.get("file"), detection.get("line")
    return f"{file}:{line}" if file and line else str(file or "")


def output_text(value: bytes) -> str:
    """The value of an output: a string as it is, everything else as JSON."""
    try:
        found = msgspec.json.decode(value)
    except msgspec.DecodeError:
        return bytes(value).decode("utf-8", "replace")
    text = found if isinstance(found, str) else bytes(value).decode("utf-8", "replace")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
