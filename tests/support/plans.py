"""Plans of the real tools, read as a run reads them; and plans in JSON, for what no tool does."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runner.job import Operation, Variable
from runner.plans.plan_read import PlanRead, ResourceChange
from runner.plans.reading import read
from runner.plans.values import Values
from runner.processes.workdir import WorkDir
from runner.tools import commands
from runner.tools.commands import Command
from runner.tools.tool import Tool
from tests.support.tool_run import do, job, must, write

NOTHING = {
    "add": 0, "change": 0, "destroy": 0, "replace": 0, "import": 0, "move": 0, "forget": 0,
    "read": 0, "actions": 0, "outputs": 0,
}  # fmt: skip


class Planning:
    """A folder with a configuration, which is applied and planned with a tool."""

    def __init__(self, tool: Tool, root: Path, work: WorkDir, *given: Variable) -> None:
        self.tool, self.work, self.given = tool, work, given
        self._job = job(root, *given)

    def must(self, command: Command) -> bytes:
        return must(command, self._job, self.work, self.tool).stdout

    def apply(self, configuration: str) -> None:
        self.plan(configuration)
        self.must(commands.apply(self.tool, self._file, self._if_known()))

    def plan(self, configuration: str, operation: Operation = "apply") -> PlanRead:
        write(self.work.checkout, "main.tf", configuration)
        self.must(commands.init(self.tool, self.given))
        planned = do(
            commands.plan(self.tool, operation, self._file, self.given),
            self._job,
            self.work,
            self.tool,
        )
        self.text = (planned.stdout + planned.stderr).decode()
        assert planned.returncode in (0, 2), self.text
        self.json = self.must(commands.show(self.tool, self._file, self.given))
        return read_plan(
            self.json,
            has_changes=planned.returncode == 2,
            secrets=self._job.secrets(),
            sensitive=[variable.name for variable in self.given if variable.sensitive],
        )

    def state(self) -> Any:
        return json.loads((self.work.checkout / "terraform.tfstate").read_text())

    @property
    def _file(self) -> Path:
        return self.work.plan / "plan"

    def _if_known(self) -> Iterable[Variable]:
        return self.given if commands.knows_variables(self.tool) else ()


def read_plan(
    content: bytes,
    *,
    has_changes: bool = True,
    secrets: Iterable[str] = (),
    sensitive: Iterable[str] = (),
) -> PlanRead:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        return read(file, has_changes=has_changes, secrets=secrets, sensitive=[*sensitive])


def counts(plan: PlanRead) -> dict[str, int]:
    """Those that are not 0."""
    return {name: count for name, count in plan.summary.items() if count}


def change_of(plan: PlanRead, address: str) -> ResourceChange:
    return next(change for change in plan.resources if change.address == address)


def values_of(plan: PlanRead, address: str) -> Values:
    return plan.values(change_of(plan, address))


def plan_json(*resources: dict[str, Any], **more: Any) -> bytes:
    """A plan in JSON with these resource changes."""
    plan = {"format_version": "1.2", "resource_changes": resources, **more}
    return json.dumps(plan).encode()


def resource(address: str = "a.b", **change: Any) -> dict[str, Any]:
    """One that is created, if nothing else is said."""
    kind, name = address.rsplit(".", 2)[-2:]
    head = {"address": address, "mode": "managed", "type": kind, "name": name}
    return head | {"change": {"actions": ["create"], "before": None, **change}}
