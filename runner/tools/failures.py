"""Explain why a command of the tool failed, from its output: a stable code and a sentence.

It reads the output in clear, because a secret may be a word of the tool's. Whoever shows the
sentence masks it; the code and the facts are the tool's own words: names, places, numbers.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from typing import NamedTuple

from runner.errors import Fact, ToolError
from runner.tools import provider_failures
from runner.tools.commands import StepName

_KEPT = 1 << 16  # bytes from the first error on
_MOST_ERRORS = 1000
_MOST_NAMES = 100
_FRAME = re.compile(r"^[│╷╵ ]+")
_PLACE = re.compile(r"\bon (\S.*?) line (\d+)")
_SUMMARY = "Error: "
_PLAIN = ("list", "pull", "push")
_PREAMBLE = "Error: Terraform encountered problems during initialisation"  # the next one tells it
_NOT_STARTED = (126, 127)  # what a shell ends with when it could not start its command
_SHIM = "The tool is a script, and what it starts cannot be started in the sandbox."
_SSH_RSA = "The server offers only ssh-rsa with SHA-1."
_UNSAVED = "What it changed may be in no state."
_DIED = "The provider ended before it was ready."
_AWAY = "The server that keeps the state did not answer."
UNLOCKING = "Error releasing the state lock"
# what the tools say when they could not store the state, whatever became of the resources
SAVING = frozenset(
    {
        "Failed to save state",
        "Failed to persist state to backend",
        "Failed to create local state file",
        UNLOCKING,
    }
)
_MEMORY, _PROCESSES = "STATEROOM_RUN_MEMORY_BYTES", "STATEROOM_RUN_PROCESSES"
_FILES, _DISK = "STATEROOM_RUN_OPEN_FILES", "STATEROOM_RUN_DISK_BYTES"


class _Known(NamedTuple):
    """Words of the tools, our code, and what they do not say. `setting`: what limits a run."""

    words: str
    code: str
    cause: str = ""
    setting: str = ""


_KNOWN = (
    _Known("Saved plan is stale", "plan-stale", "The state has changed since it was planned."),
    _Known("Can't change variable when applying", "plan-stale", "A variable has changed."),
    _Known("Mismatch between input and plan variable", "plan-stale"),
    _Known("Failed to lock: LOCK", "server-unavailable", _AWAY),
    _Known("Failed to get state: GET", "server-unavailable", _AWAY),
    _Known("Error acquiring the state lock", "state-locked"),
    _Known("Failed to save state", "state-write-failed", _UNSAVED),
    _Known("Failed to persist state", "state-write-failed", _UNSAVED),
    _Known("HTTP remote state endpoint requires auth", "state-access-denied"),
    _Known("HTTP remote state endpoint invalid auth", "state-access-denied"),
    _Known("annot allocate memory", "memory-exceeded", setting=_MEMORY),
    _Known("runtime: out of memory", "memory-exceeded", setting=_MEMORY),
    _Known("fork: retry: Resource temporarily unavailable", "processes-exceeded", "", _PROCESSES),
    _Known("failed to create new OS thread", "processes-exceeded", setting=_PROCESSES),
    _Known("oo many open files", "files-exceeded", setting=_FILES),
    _Known("ile size limit exceeded", "disk-exceeded", setting=_DISK),
    _Known("o space left on device", "disk-full", "The disk of the worker is full."),
    _Known("No value for required variable", "variable-missing"),
    _Known("Unsupported Terraform Core version", "version-unsupported"),
    _Known("Unsupported OpenTofu Core version", "version-unsupported"),
    _Known("Plugin did not respond", "provider-ended", "The provider ended in the middle of it."),
    _Known("plugin exited before we could connect", "provider-ended"),
    _Known("Failed to read any lines from plugin's stdout", "provider-ended", _DIED),
    _Known("workspaces not supported", "workspaces-unsupported", "It has one state only."),
    _Known("HOST IDENTIFICATION HAS CHANGED", "host-key-changed"),
    _Known("host key is known for", "host-key-unknown"),
    _Known(
        "The requested URL returned error: 30",
        "module-redirected",
        "The address of a module leads elsewhere, and redirects are not followed.",
    ),
    _Known("no matching host key type found", "ssh-rsa-refused", _SSH_RSA),
    _Known("Failed to download module", "module-unavailable"),
)
# what the tools name, in the order in which it is preferred, by the name of the fact
_NAMED = (
    ("variables", re.compile(r'The root module input variable "([\w-]+)" is not set')),
    ("provider", re.compile(r"\bprovider ((?:[\w.-]+/)?[\w-]+/[\w-]+)")),
    ("place", re.compile(r"host key is known for (\[[\w.:-]+\]:\d+|[\w.:-]+[\w])")),
    ("place", re.compile(r"Host key for (\[[\w.:-]+\]:\d+|[\w.:-]+[\w]) has changed")),
)
_LOCK = re.compile(r"Lock Info: ID: (\S+) .{0,500}?\bWho: (\S+)")
_LOCK_OF_HTTP = re.compile(r"HTTP remote state already locked: ID=(\S+)")
_SEVERAL = frozenset({"variables"})
_BRACKETED = re.compile(r"\[(.+)\]:(\d+)")


class Diagnosis:
    """Reads the output of a command in order, and remembers its errors."""

    def __init__(self) -> None:
        self._line = b""
        self._kept: list[str] = []
        self._left = _KEPT
        self._crashed = False
        self._last = ""
        self._summaries: list[str] = []

    def feed(self, chunk: bytes) -> None:
        *lines, rest = (self._line + chunk).split(b"\n")
        for line in lines:
            self._listen(line)
        self._line = rest[:_KEPT]

    def failure(self, tool: str, step: StepName, returncode: int) -> ToolError:
        """The error of a command that ended with this exit code."""
        self._listen(self._line)
        self._line = b""
        said = "\n".join(self._kept) or self._last
        unwrapped = " ".join(said.split())
        known = self._known(unwrapped, tool) or _Known("", f"{step}-failed")
        if returncode in _NOT_STARTED and not self._kept:
            known = _Known("", "tool-hidden", _SHIM)
        how = self._first() or self._plain(step) or _ending(returncode)
        if self._crashed:
            known, how = _Known("", "tool-crashed"), "it crashed, see the log"
        facts = {**dict(_named(unwrapped)), **_lock(unwrapped), **self._place()}
        facts |= _signal(returncode, self._kept)
        if known.setting:
            facts["setting"] = known.setting
        about = _about(known.code, facts)
        message = f"{tool} {step} failed: {how}{about}. {known.cause}".strip()
        error = ToolError(known.code, message, tool=tool, **facts)
        error.said = unwrapped
        error.summaries = tuple(self._summaries)
        return error

    def _listen(self, line: bytes) -> None:
        said = line.decode(errors="replace").rstrip()
        # a provider may print a NUL, which text columns refuse: the end of the run would be lost
        text = _FRAME.sub("", "".join(c if c.isprintable() else " " for c in said))
        self._last = text.strip() or self._last
        self._crashed |= text.startswith(("panic: ", "!!!!!!!!!!!!!!!!!!!!!!!!!!! TERRAFORM CRASH"))
        if text.startswith(_SUMMARY) and len(self._summaries) < _MOST_ERRORS:
            self._summaries.append(text.removeprefix(_SUMMARY))
        if self._left > 0 and (self._kept or text.startswith(_SUMMARY)):
            self._kept.append(text)
            self._left -= len(line) + 1

    def _known(self, unwrapped: str, tool: str) -> _Known | None:
        if self._summaries == [UNLOCKING]:
            return _Known("", "unlock-failed", "Its lock ends with this run.")
        if of_provider := provider_failures.explain(unwrapped, tool):
            return _Known("", *of_provider)
        return next((known for known in _KNOWN if known.words in unwrapped), None)

    def _plain(self, step: StepName) -> str:
        """The error of terraform's older commands: one line without `Error:` before it."""
        return self._last.rstrip(".") if step in _PLAIN else ""

    def _first(self) -> str:
        """The first error with a message, and its place if it has one."""
        found = self._telling()
        if not found:
            return ""
        place = self._place()
        where = f" ({place['file']} line {place['line']})" if place else ""
        return found[0].removeprefix(_SUMMARY).rstrip(".") + where

    def _place(self) -> dict[str, Fact]:
        """The file and line that the first error with a message names, if it does."""
        place = _PLACE.search("\n".join(self._telling()[1:]))
        return {"file": place[1], "line": int(place[2])} if place else {}

    def _telling(self) -> list[str]:
        """The lines of the first error with a message."""
        starts = [n for n, line in enumerate(self._kept) if line.startswith(_SUMMARY)]
        telling = [n for n in starts if not self._kept[n].startswith(_PREAMBLE)]
        if not telling:
            return []
        end = next((n for n in starts if n > telling[0]), len(self._kept))
        return self._kept[telling[0] : end]


def _named(unwrapped: str) -> Iterator[tuple[str, Fact]]:
    """What the errors name. Later patterns of the same name count only where the first has none."""
    for name, pattern in reversed(_NAMED):
        found = list(dict.fromkeys(pattern.findall(unwrapped)))[:_MOST_NAMES]
        if found:
            yield name, found if name in _SEVERAL else _BRACKETED.sub(r"\1:\2", found[0])


def _lock(unwrapped: str) -> dict[str, Fact]:
    """The ID of the lock that was in the way, and who has it, if the tool says so.

    For the http backend terraform prints the lock that it asked for, and only the ID of the other.
    """
    info, of_http = _LOCK.search(unwrapped), _LOCK_OF_HTTP.search(unwrapped)
    if of_http and (not info or info[1] != of_http[1]):
        return {"lock_id": of_http[1]}
    return {"lock_id": info[1], "holder": info[2]} if info else {}


def _about(code: str, facts: dict[str, Fact]) -> str:
    """What the summary of an error does not name."""
    missing = facts.get("variables")
    if code == "variable-missing" and isinstance(missing, list):
        return f": {', '.join(missing)}"
    provider = facts.get("provider")
    return f" {provider}" if code in provider_failures.CODES and provider else ""


def _signal(returncode: int, said: list[str]) -> dict[str, Fact]:
    """The signal that ended a command which had not said that anything is wrong."""
    return {"signal": signal.Signals(-returncode).name} if returncode < 0 and not said else {}


def _ending(returncode: int) -> str:
    if returncode >= 0:
        return f"it ended with code {returncode}"
    name = signal.Signals(-returncode).name
    memory = ", maybe because there was not enough memory" if -returncode == signal.SIGKILL else ""
    return f"it was ended by {name}{memory}"
