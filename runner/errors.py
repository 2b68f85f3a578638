"""The errors of a run, by what the reader can do about them.

RunnerError
├── SourceError     a fault of the repository, ref or path: change the template or its key
├── DetectionError  our backend cannot be configured: change the code or the backend mode
├── ToolError       terraform or tofu is missing, or failed: read the log
├── TransferError   a state cannot be moved; nothing was changed unless the message says so
├── RuleBroken      the plan breaks a rule of its template: change the code, or the rule
├── WindowClosed    the window for the apply has ended: it begins in the next one
├── PlanStale       an approved plan does not hold any more: plan again
├── Stopped         somebody canceled the run, or it took too long
└── Fenced          the worker lost the run: another worker or the reconciler took it
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Fact: TypeAlias = str | int | Sequence[str]


class RunnerError(Exception):
    """The run cannot go on. `code` is stable; the message says what is wrong and what to do.

    `facts` are what the next step names: a variable, a host, a file. They are no secrets.
    """

    def __init__(self, code: str, message: str, **facts: Fact) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.facts = facts


class SourceError(RunnerError):
    """The sources could not be checked out."""


class DetectionError(RunnerError):
    """The sources cannot run with the backend that the template asks for."""


class ToolError(RunnerError):
    """The tool is missing, or ended with an error of its own. `said`: its errors, on one line."""

    said = ""

    summaries: tuple[str, ...] = ()  # of the errors that it printed, in clear


class TransferError(RunnerError):
    """A state was not moved. The message says what a person has to do first."""


class RuleBroken(RunnerError):
    """The plan breaks a rule of the template, which refuses it. Nothing was applied."""


class WindowClosed(RunnerError):
    """The window in which the apply could have started has ended. Nothing was applied yet."""


class PlanStale(RunnerError):
    """What the plan was made from is not as it was. Nothing was applied."""


class Stopped(RunnerError):
    """The run was asked to stop, and stopped."""

    returncode: int | None = None  # of the command that was stopped


class Fenced(RunnerError):
    """The worker lost the run, and must not change anything any more."""
