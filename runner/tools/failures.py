"""Explain why a command of the tool failed, from its output: a stable code and a sentence."""

from __future__ import annotations

import re
import signal

from runner.errors import ToolError
from runner.tools import provider_failures
from runner.tools.commands import StepName
from runner.tools.tool import READABLE_SETTING

_KEPT = 1 << 16  # bytes from the first error on
_MOST_ERRORS = 1000
_FRAME = re.compile(r"^[│╷╵ ]+")
_PLACE = re.compile(r"\bon (\S.*?) line (\d+)")
_SUMMARY = "Error: "
_PLAIN = ("list", "pull", "push")
_PREAMBLE = "Error: Terraform encountered problems during initialisation"  # the next one tells it
_SCAN = "`stateroom projects host-keys scan HOST`"
_REPLACE = f"If it has a new key: `stateroom projects host-keys remove HOST`, then {_SCAN}."
_NOT_STARTED = (126, 127)  # what a shell ends with when it could not start its command
_SHIM = (
    "The tool is a script, and what it starts cannot be started in the sandbox. Name its folder in "
    f"{READABLE_SETTING}, or put the program itself into the tools folder."
)
_SSH_RSA = (
    "The server offers only ssh-rsa with SHA-1: upgrade it, or ask an administrator to list it in "
    "STATEROOM_SSH_RSA_HOSTS."
)
_UNSAVED = "What it changed may be in no state."
_AWAY = "The server that keeps the state did not answer. Queue the run again when it does."
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
_MEMORY = "A run may take as much memory as STATEROOM_RUN_MEMORY_BYTES says."
_PROCESSES = "A run may have as many processes and threads as STATEROOM_RUN_PROCESSES says."
_FILES = "A process of a run may open as many files as STATEROOM_RUN_OPEN_FILES says."
_DISK = "A run may take as much disk space as STATEROOM_RUN_DISK_BYTES says."
# messages of the tools, our code, and what to do
_KNOWN = (
    ("Saved plan is stale", "plan-stale", "The state has changed since: plan again."),
    ("Can't change variable when applying", "plan-stale", "A variable has changed: plan again."),
    ("Mismatch between input and plan variable", "plan-stale", "Plan again."),
    ("Failed to lock: LOCK", "server-unavailable", _AWAY),
    ("Failed to get state: GET", "server-unavailable", _AWAY),
    ("Error acquiring the state lock", "state-locked", "See who holds the lock."),
    ("Failed to save state", "state-write-failed", _UNSAVED),
    ("Failed to persist state", "state-write-failed", _UNSAVED),
    ("HTTP remote state endpoint requires auth", "state-access-denied", "Is the run over?"),
    ("HTTP remote state endpoint invalid auth", "state-access-denied", "Is the run over?"),
    ("annot allocate memory", "memory-exceeded", _MEMORY),
    ("runtime: out of memory", "memory-exceeded", _MEMORY),
    ("fork: retry: Resource temporarily unavailable", "processes-exceeded", _PROCESSES),
    ("failed to create new OS thread", "processes-exceeded", _PROCESSES),
    ("oo many open files", "files-exceeded", _FILES),
    ("ile size limit exceeded", "disk-exceeded", _DISK),
    ("No value for required variable", "variable-missing", "Set it in the workspace."),
    ("Unsupported Terraform Core version", "version-unsupported", "Choose another version."),
    ("Unsupported OpenTofu Core version", "version-unsupported", "Choose another version."),
    ("workspaces not supported", "workspaces-unsupported", "The backend has one state only."),
    ("HOST IDENTIFICATION HAS CHANGED", "host-key-changed", f"Ask who runs the host. {_REPLACE}"),
    ("host key is known for", "host-key-unknown", f"Add the host's key: {_SCAN}."),
    (
        "The requested URL returned error: 30",
        "module-redirected",
        "The address of a module leads elsewhere, and redirects are not followed.",
    ),
    ("no matching host key type found", "ssh-rsa-refused", _SSH_RSA),
    (
        "Failed to download module",
        "module-unavailable",
        "Check its address, the module key and the git credentials.",
    ),
)


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
        known = provider_failures.explain(" ".join(said.split()), tool) or self._known(said)
        code, hint = known or (f"{step}-failed", "")
        if returncode in _NOT_STARTED and not self._kept:
            code, hint = "tool-hidden", _SHIM
        how = self._first() or self._plain(step) or _ending(returncode)
        if self._crashed:
            code, how = "tool-crashed", "it crashed, see the log"
        error = ToolError(code, f"{tool} {step} failed: {how}. {hint}".strip())
        error.said = " ".join(said.split())
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

    def _known(self, said: str) -> tuple[str, str] | None:
        if self._summaries == [UNLOCKING]:
            return "unlock-failed", "Its lock ends with this run: queue it again."
        unwrapped = " ".join(said.split())
        return next((entry[1:] for entry in _KNOWN if entry[0] in unwrapped), None)

    def _plain(self, step: StepName) -> str:
        """The error of terraform's older commands: one line without `Error:` before it."""
        return self._last.rstrip(".") if step in _PLAIN else ""

    def _first(self) -> str:
        """The first error with a message, and its place if it has one."""
        starts = [n for n, line in enumerate(self._kept) if line.startswith(_SUMMARY)]
        telling = [n for n in starts if not self._kept[n].startswith(_PREAMBLE)]
        if not telling:
            return ""
        end = next((n for n in starts if n > telling[0]), len(self._kept))
        place = _PLACE.search("\n".join(self._kept[telling[0] + 1 : end]))
        where = f" ({place[1]} line {place[2]})" if place else ""
        return self._kept[telling[0]].removeprefix(_SUMMARY).rstrip(".") + where


def _ending(returncode: int) -> str:
    if returncode >= 0:
        return f"it ended with code {returncode}"
    name = signal.Signals(-returncode).name
    memory = ", maybe because there was not enough memory" if -returncode == signal.SIGKILL else ""
    return f"it was ended by {name}{memory}"
