"""What the steps of one run share: its masked log, tool, environment and sandbox."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, BinaryIO

from runner.detection.detect import Verdict
from runner.errors import Fenced, RunnerError, Stopped, ToolError
from runner.events import Events
from runner.job import Job
from runner.processes import process
from runner.processes.ladder import Rung
from runner.processes.limits import CPU, DISK, MEMORY, PROCESSES
from runner.processes.room import Room
from runner.processes.workdir import WorkDir
from runner.redact import Redactor
from runner.tools import file_variables
from runner.tools.commands import Command
from runner.tools.environment import (
    environment,
    http_credential,
    not_handed,
    own_credentials,
    registry_tokens,
)
from runner.tools.failures import Diagnosis
from runner.tools.printed_state import PrintedState
from runner.tools.progress import Progress
from runner.tools.tool import Tool, check_confined

TIMED = ("clone", "init", "plan", "apply")  # steps whose time a template may limit
_CHUNK_BYTES = 1 << 16
SAID_BYTES = 16 << 20  # the longest output of a command that is read by the runner
# by the number of the limit: the code, what there was too much of, and the setting
_LIMITS = {
    MEMORY: ("memory-exceeded", "memory", "STATEROOM_RUN_MEMORY_BYTES"),
    PROCESSES: ("processes-exceeded", "processes and threads", "STATEROOM_RUN_PROCESSES"),
    DISK: ("disk-exceeded", "disk space", "STATEROOM_RUN_DISK_BYTES"),
    CPU: ("cpu-exceeded", "CPU time", "STATEROOM_RUN_CPU_SECONDS"),
}


class RunContext:
    """One run, as its steps see it. The credential of the backend is added to `environment`.

    There is no tool until the sources are there, if they say which version it is.
    """

    def __init__(
        self, job: Job, events: Events, work: WorkDir, room: Room, tool: Tool | None
    ) -> None:
        self.job, self.events, self.work = job, events, work
        self.room, self._tool = room, tool
        self.environment: dict[str, str] = {}
        self._ends = time.monotonic() + job.limits.total
        self.changes: int | None = None  # that an apply makes
        self._is_ours = False  # the backend of the following commands
        self.variable_files: tuple[Path, ...] = ()  # of the checkout, as the room sees them
        self.backend_config_files: tuple[Path, ...] = ()
        self._warnings: list[str] = []
        self._given = Redactor(job.secrets())
        self._redactor = Redactor({*job.secrets(), *job.known_secrets})

    def begin(self) -> None:
        """Write the tool and the sandbox into the log. Raises ToolError."""
        given = self.job.variables
        placed = file_variables.place(given, self.work, self.room)
        secrets = tuple(v.value for v in given if v.type == "file" and v.sensitive)
        self.job = replace(self.job, variables=placed, file_secrets=secrets)
        made = environment(self.job, self.work, self.room)
        self.environment.update(made.values)
        layer = str(self.room.sandbox)
        name = str(self._tool) if self._tool else f"{self.job.tool} as the sources ask for it"
        self.say(f"{name}, sandbox: {layer}")
        self.events.noted({"tool": str(self._tool) if self._tool else None, "sandbox": layer})
        self.warn(*made.warnings)
        if self.job.withheld:
            self.warn(
                "This run is of a pull request, so it does not get the variables that are marked "
                f"sensitive: {', '.join(self.job.withheld)}. The template can allow it: "
                "secrets_for_pull_requests."
            )
        if self._tool:
            check_confined(self._tool, self.room)

    @property
    def tool(self) -> Tool:
        assert self._tool is not None, "the tool is chosen after the clone"  # noqa: S101
        return self._tool

    @property
    def has_tool(self) -> bool:
        return self._tool is not None

    def use(self, tool: Tool) -> None:
        """Run the following commands with the tool that the sources ask for. Raises ToolError."""
        self._tool = tool
        self.say(str(tool))
        self.events.noted({"tool": str(tool)})
        check_confined(tool, self.room)

    def use_our_backend(self, verdict: Verdict) -> None:
        """Give the following commands the credential of our state, and tokens of registries."""
        self._is_ours = True
        tokens = registry_tokens(self.job, verdict)
        self.environment.update(tokens | http_credential(self.job.backend))
        withheld = sorted(own_credentials(self.job).keys() - tokens.keys())
        self.warn(*(not_handed(name, self.job) for name in withheld))

    def use_own_backend(self) -> None:
        """Give the following commands the credentials of the sources' backend, and not ours."""
        self._is_ours = False
        for name in http_credential(self.job.backend):
            self.environment.pop(name, None)
        self.environment.update(own_credentials(self.job))

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        """Run the block as a step with this name. The content of the dict is stored with it."""
        self.events.step_started(name)
        self.say(f"== {name}")
        detail: dict[str, Any] = {}
        try:
            yield detail
        except RunnerError as error:
            self._name_the_step(error, name)
            error.message = self._redactor.mask(error.message)
            self.say(f"Error: {error.message}")
            self.events.step_ended(name, "failed", detail | {"error": error.code})
            raise
        self.events.step_ended(name, "done", detail)

    def time_for(self, step: str) -> float:
        """How many seconds a command of this step may take now. Raises Stopped if none are left."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise Stopped("timed-out", "No time was left for it.")
        return min(self.job.limits.of(step), left)

    def without_secrets(self, identity: str) -> str:
        """The text, or its hash if a secret is in it: another text stays another one."""
        if self._given.mask(identity) == identity:
            return identity
        return f"sha256:{hashlib.sha256(identity.encode()).hexdigest()}"

    def learn(self, secrets: Iterable[str]) -> None:
        """Mask these too from now on, in the log and in messages."""
        self._redactor.learn(secrets)

    def say(self, text: str) -> None:
        self.events.output(self._redactor.mask(text).encode() + b"\n")

    def show(self, text: BinaryIO) -> None:
        """Write a whole text into the log, masked."""
        while chunk := text.read(_CHUNK_BYTES):
            self._pass_on(self._redactor.feed(chunk))
        self._pass_on(self._redactor.flush())

    def warn(self, *warnings: str) -> None:
        if warnings:
            masked = [self._redactor.mask(warning) for warning in warnings]
            self.say("\n".join(f"Warning: {warning}" for warning in masked))
            self._warnings += masked
            self.events.noted({"warnings": list(self._warnings)})

    def run(
        self,
        command: Command,
        folder: Path,
        extra: Mapping[str, str] | None = None,
        *,
        accepted: Container[int] = (0,),
        printed: PrintedState | None = None,
    ) -> int:
        """Run a command of the tool with its output masked in the log, and return its exit code.

        A state that it prints goes into `printed`, if that is given, and not into the log. Raises
        Stopped, and ToolError when the command ends with a code that is not accepted.
        """
        diagnosis = Diagnosis()
        progress = Progress(command.step, self.changes)
        hear = self._listener(diagnosis, progress)
        try:
            completed = process.run(
                command.argv,
                env={**self.environment, **(extra or {})},
                cwd=self.room.inside(folder),
                stdin=command.stdin,
                output=lambda chunk: hear(printed.feed(chunk) if printed else chunk),
                deadline=self.time_for(command.step),
                stop=self.events.stop,
                stop_grace=self.job.limits.stop_grace,
                told=self._tell_of,
                room=self.room,
            )
        finally:
            hear(printed.flush() if printed else b"")
            self._pass_on(self._redactor.flush())
            if progress.end():
                self._tell_progress(progress)
        if completed.returncode not in accepted:
            self._refuse_excess(completed.exceeded)
            raise self._explained(diagnosis, command, completed.returncode)
        return completed.returncode

    def _tell_of(self, rung: Rung) -> None:
        """Say in the log and on the run how the command is stopped, and until when it may save."""
        at = datetime.now(UTC)
        ends = at + timedelta(seconds=rung.seconds)
        facts = {"signal": rung.sent.name, "at": at.isoformat(timespec="seconds")}
        said = f"{self.tool.name} gets {rung.sent.name}"
        if rung.following is None:
            self.say(f"\nStopping: {said}: what it has not saved is in no state.")
        else:
            following = {"next": rung.following.name, "next_at": ends.isoformat(timespec="seconds")}
            facts |= following
            self.say(
                f"\nStopping: {said}, to save the state and to unlock it. It has until "
                f"{ends:%H:%M:%S} UTC; then it gets {rung.following.name}."
            )
        with suppress(Fenced):  # another worker has the run: this one only ends its tool
            self.events.noted({"stopping": facts})

    def ask(
        self,
        command: Command,
        folder: Path,
        extra: Mapping[str, str] | None = None,
        limit: int = SAID_BYTES,
        into: IO[bytes] | None = None,
    ) -> bytes:
        """The output of a command, which is not logged. Raises ToolError and Stopped.

        With `into` it is written into that file instead.
        """
        said = process.capture(
            command.argv,
            env={**self.environment, **(extra or {})},
            cwd=self.room.inside(folder),
            stdin=command.stdin,
            deadline=self.time_for(command.step),
            limit=limit,
            stop=self.events.stop,
            stop_grace=self.job.limits.stop_grace,
            room=self.room,
            into=into,
        )
        if said.returncode != 0:
            self._refuse_excess(said.exceeded)
            diagnosis = Diagnosis()
            diagnosis.feed(said.stderr)
            raise self._explained(diagnosis, command, said.returncode)
        return said.stdout

    def _explained(self, diagnosis: Diagnosis, command: Command, returncode: int) -> ToolError:
        error = diagnosis.failure(self.tool.name, command.step, returncode)
        if error.code == "state-locked" and not self._is_ours:
            error.code = "backend-locked"
        return error

    def _refuse_excess(self, exceeded: int) -> None:
        if exceeded:
            code, what, setting = _LIMITS[exceeded]
            raise ToolError(
                code,
                f"{self.tool.name} and what it started took more {what} than a run may: an "
                f"administrator can raise {setting}.",
                setting=setting,
            )

    def _listener(self, diagnosis: Diagnosis, progress: Progress) -> Callable[[bytes], None]:
        """Hears what a command says, without a state in it."""

        def hear(text: bytes) -> None:
            diagnosis.feed(text)  # in clear: a secret may be a word of the tool's; `step` masks it
            self._pass_on(self._redactor.feed(text))
            if progress.feed(text):
                self._tell_progress(progress)

        return hear

    def _tell_progress(self, progress: Progress) -> None:
        told = progress.told()
        for one in told["active"]:
            one["address"] = self._redactor.mask(one["address"])
        with suppress(Fenced):
            self.events.noted({"progress": told})

    def _pass_on(self, text: bytes) -> None:
        if text:
            self.events.output(text)

    def _name_the_step(self, error: RunnerError, name: str) -> None:
        """Say which step took too long, or that all together did, if that is what ended it."""
        if error.code != "timed-out" or "step" in error.facts:
            return
        if time.monotonic() >= self._ends:
            error.message = (
                f"The run took longer than the {self.job.limits.total:g} seconds that its template "
                f"gives it (total). It was at {name}. {error.message}"
            )
            error.facts["step"] = "total"
            return
        error.message = f"The step {name} took too long. {error.message}"
        if name in TIMED:
            error.facts["step"] = name
