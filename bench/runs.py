"""A whole run against the bare commands, how soon a run starts, and what it costs the worker.

Bare is git clone, init, plan -out and apply, one after the other, with a local state. Ours is from
the POST of the run to its end. The start is when the tool's first command begins: a small script
before the tool says the time.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import installed
from bench.memory import Memory
from bench.rounds import WIDTH, interleaved, options, show, show_times, timed
from tests.support.processes import wait_until
from tests.support.redis_server import Redis
from tests.support.repositories import Repository, sleeping_module
from tests.support.stateroom import Stateroom
from tests.support.tools import environment

TOOLS = ("terraform", "tofu")
BROKERS = ("filesystem", "redis")
CLAIM_GOAL = "p99 <= 15 ms"
TOOL_GOALS = {"filesystem": "p99 <= 100 ms"}
LOOK_SECONDS = 0.2
SLOTS = 8
# what a run takes from somewhere with a clock of its own, and one that is given
MODULE = """\
resource "terraform_data" "thing" {
  count = 10
  input = timestamp()
}
"""
STARTED = re.compile(r"^the tool starts at ([0-9.]+)$", re.MULTILINE)
SCRIPT = """\
#!/bin/bash
[ "$1" = version ] || printf 'the tool starts at %s\\n' "$EPOCHREALTIME" >&2
exec {tool} "$@"
"""


class Project:
    """One template of one repository in one workspace, and runs in it."""

    def __init__(self, stateroom: Stateroom, repository: Repository, tool: str, name: str) -> None:
        self._api = stateroom.api
        self._path = f"/projects/{name}"
        self._api.post("/projects", name=name)
        self._api.post(
            f"{self._path}/templates",
            name="module",
            repository=str(repository.folder),
            tool=tool,
            workspace={"name": "w"},
        )

    def queue(self, operation: str) -> str:
        path = f"{self._path}/workspaces/w/runs"
        approved = {} if operation == "plan" else {"auto_approve": True}
        return str(self._api.post(path, operation=operation, **approved)["id"])

    def run(self, operation: str) -> float:
        """Seconds from the POST to the end."""
        asked = time.time()
        ended = self.end(self.queue(operation))
        return datetime.fromisoformat(ended["finished_at"]).timestamp() - asked

    def end(self, run: str) -> dict[str, Any]:
        path = f"{self._path}/runs/{run}"
        wait_until(
            lambda: bool(self._api.get(path)["finished_at"]), f"the end of {run}",
            every=LOOK_SECONDS,  # to be asked is work too
        )  # fmt: skip
        found = self._api.get(path)
        if found["status"] not in {"applied", "planned_and_finished"}:
            raise RuntimeError(f"the run ended: {found}\n{self.log(run)}")
        return dict(found)

    def log(self, run: str) -> str:
        return self._api.send("GET", f"{self._path}/runs/{run}/log").body.decode()

    def start(self) -> tuple[float, float]:
        """Seconds from the POST of a run to its claim, and to the tool's first command."""
        asked = time.time()
        run = self.queue("plan")
        ended = self.end(run)
        found = STARTED.search(self.log(run))
        assert found, self.log(run)
        claimed = datetime.fromisoformat(ended["started_at"]).timestamp()
        return claimed - asked, float(found[1]) - asked

    def steps(self, run: str) -> dict[str, float]:
        """Seconds of each step."""
        items = self._api.get(f"{self._path}/runs/{run}/steps")["items"]
        return {
            step["name"]: datetime.fromisoformat(step["finished_at"]).timestamp()
            - datetime.fromisoformat(step["started_at"]).timestamp()
            for step in items
        }


class Bare:
    """The commands that a run is made of, by hand."""

    def __init__(self, folder: Path, repository: Repository, command: str) -> None:
        self._folder, self._repository, self._command = folder, repository, command
        self._state = folder / "bare.tfstate"
        folder.mkdir()

    def run(self) -> float:
        """Seconds. The state goes with the clone, but is kept for the next one."""
        clone = self._folder / "clone"
        kept = self._state
        seconds = timed(lambda: self._all(clone, kept))
        if (clone / "terraform.tfstate").exists():
            (clone / "terraform.tfstate").replace(kept)
        shutil.rmtree(clone)
        return seconds

    def _all(self, clone: Path, kept: Path) -> None:
        where = str(self._repository.folder)
        self._do(self._folder, "git", "clone", "--quiet", "--depth=1", f"file://{where}", "clone")
        if kept.exists():
            shutil.copy(kept, clone / "terraform.tfstate")
        quiet = ("-input=false", "-no-color")
        self._do(clone, self._command, "init", *quiet)
        self._do(clone, self._command, "plan", "-out=plan", *quiet)
        self._do(clone, self._command, "apply", *quiet, "plan")

    def _do(self, folder: Path, *argv: str) -> None:
        subprocess.run(
            argv, cwd=folder, env=environment(self._folder), capture_output=True, check=True
        )


def whole_runs(stateroom: Stateroom, folder: Path, tool: str, rounds: int) -> None:
    command = shutil.which(tool)
    if command is None:
        print(f"{tool} is not on PATH: not measured")
        return
    repository = Repository(folder / f"{tool}-repository", {"main.tf": MODULE})
    project = Project(stateroom, repository, tool, f"whole-{tool}")
    bare = Bare(folder / f"{tool}-bare", repository, command)
    project.run("apply")  # the first one also asks the tool for its version
    bare.run()
    found = interleaved(lambda: project.run("apply") * 1e3, lambda: bare.run() * 1e3, rounds)
    show(f"a whole run, {tool}", found, "ms", "<= 1.5")
    steps = [project.steps(project.end(project.queue("apply"))["id"]) for _ in range(rounds)]
    middle = {name: statistics.median(one[name] for one in steps) for name in steps[0]}
    told = ", ".join(f"{name} {seconds * 1e3:.0f}" for name, seconds in middle.items())
    print(f"{'':{WIDTH}} its steps, ms: {told}")


def starts(stateroom: Stateroom, folder: Path, broker: str, rounds: int) -> None:
    repository = Repository(folder / f"{broker}-repository", {"main.tf": MODULE})
    project = Project(stateroom, repository, "terraform", "starts")
    project.start()
    claims, tools = zip(*(project.start() for _ in range(rounds)), strict=True)
    show_times(f"from POST to the claim, {broker}", claims, CLAIM_GOAL)
    show_times(f"from POST to the tool, {broker}", tools, TOOL_GOALS.get(broker, ""))


@contextmanager
def telling_tools(folder: Path) -> Iterator[Path]:
    """A tools folder with a terraform that says when it was started."""
    command = shutil.which("terraform")
    assert command, "terraform is not on PATH"
    script = folder / "tools" / "terraform" / "1.0.0" / "terraform"
    script.parent.mkdir(parents=True)
    script.write_text(SCRIPT.format(tool=command), encoding="ascii")
    script.chmod(0o755)
    folder.chmod(0o755)  # it is shown to runs, which have a user of their own
    yield folder / "tools"


@contextmanager
def broker_url(name: str, folder: Path) -> Iterator[str]:
    if name == "filesystem":
        yield "filesystem://"
        return
    redis = Redis(folder / "redis")
    try:
        yield redis.url
    finally:
        redis.kill()


def worker_memory(stateroom: Stateroom, folder: Path, runs: int) -> None:
    """What the worker's own process holds more while so many tools are at work."""
    repository = Repository(folder / "sleeping", {"main.tf": sleeping_module(1.0 + runs / 4)})
    projects = [
        Project(stateroom, repository, "terraform", f"memory-{number}") for number in range(runs)
    ]
    projects[0].run("plan")
    memory = Memory(psutil.Process(stateroom.workers[0].pid))
    before, before_shared = memory.resident(), memory.proportional()
    asked = [project.queue("apply") for project in projects]
    _wait_for_applies(stateroom, runs)
    grown, shared = memory.resident() - before, memory.proportional() - before_shared
    for project, run in zip(projects, asked, strict=True):
        project.end(run)
    name = f"worker memory, {runs} runs at once"
    print(
        f"{name:{WIDTH}} {grown / runs / 1e6:+10.2f} MB a run resident, {shared / runs / 1e6:+.2f}"
        f" proportional; before {before / 1e6:.1f} MB  goal <= 3"
    )


def _wait_for_applies(stateroom: Stateroom, runs: int) -> None:
    worker = psutil.Process(stateroom.workers[0].pid)
    wait_until(
        lambda: sum(_sleeps(child) for child in worker.children(recursive=True)) == runs,
        f"{runs} applies at once",
    )


def _sleeps(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return "sleep" in process.name()
    return False


def measure_starts(folder: Path, broker: str, rounds: int) -> None:
    place = folder / broker
    place.mkdir()
    with (
        broker_url(broker, place) as url,
        telling_tools(place) as tools,
        installed.stateroom(
            # the poll would hide a bell that does not ring
            place,
            broker_url=url,
            tools_dir=tools,
            poll_seconds=30,
        ) as stateroom,
    ):
        stateroom.start_worker()
        time.sleep(1.0)
        starts(stateroom, place, broker, rounds)


def quick(folder: Path) -> None:
    """A little of everything, in one installation."""
    with (
        telling_tools(folder) as tools,
        installed.stateroom(folder, tools_dir=tools) as stateroom,
    ):
        stateroom.start_worker()
        starts(stateroom, folder, BROKERS[0], 1)
        whole_runs(stateroom, folder, TOOLS[0], 1)
        worker_memory(stateroom, folder, 1)


def main() -> None:
    given = _given()
    rounds = given.rounds or 15
    with installed.scratch() as folder:
        if given.quick:
            quick(folder)
            return
        for broker in given.broker or BROKERS:
            measure_starts(folder, broker, 10 * rounds)
        with installed.stateroom(folder, worker_slots=SLOTS) as stateroom:
            stateroom.start_worker()
            for tool in given.tool or TOOLS:
                whole_runs(stateroom, folder, tool, rounds)
            worker_memory(stateroom, folder, SLOTS)


def _given() -> argparse.Namespace:
    parser = options(__doc__)
    parser.add_argument("--tool", action="append", choices=TOOLS, help="only this one")
    parser.add_argument("--broker", action="append", choices=BROKERS, help="only this one")
    return parser.parse_args()


if __name__ == "__main__":
    main()
