"""What can go wrong in a run, by what the reader can do about it.

RunnerError
├── SourceError     the repository, its ref or its path: change the template or its key
├── DetectionError  the configuration cannot take our backend: change the code or the backend mode
├── ToolError       terraform or tofu is missing, or said no: read the log
├── TransferError   a state cannot be moved: nothing was changed where it does not say so
├── Stopped         somebody canceled the run, or its time was up
└── Fenced          the run is no longer ours: another worker or the reconciler took it
"""


class RunnerError(Exception):
    """A run cannot go on. `code` is stable; the message says what is wrong and what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class SourceError(RunnerError):
    """The sources could not be brought here."""


class DetectionError(RunnerError):
    """The sources cannot run with the backend that the template asks for."""


class ToolError(RunnerError):
    """The tool is missing, or ended with an error of its own."""


class TransferError(RunnerError):
    """The state stays where it is, until a person has done what the message says."""


class Stopped(RunnerError):
    """The run was asked to stop, and stopped."""

    returncode: int | None = None  # of the command that was stopped


class Fenced(RunnerError):
    """The run belongs to somebody else now: leave everything as it is."""
