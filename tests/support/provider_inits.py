"""Inits of runs that need a provider, on one machine with a registry of its own."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from runner.events import StopLevel
from runner.job import Job, ProviderCache, Variable
from runner.processes import room, workdir
from runner.processes.workdir import WorkDir
from runner.providers import locked
from runner.providers.cache import Cache
from runner.providers.package import Package, own_platform
from runner.recipes import providers
from runner.recipes.context import RunContext
from runner.tools import commands, registries
from runner.tools.environment import terms
from runner.tools.tool import Tool
from tests.support.registry import Registry
from tests.support.tool_run import job

NAME = "acme/thing"
_runs = itertools.count(1)


class Recorded:
    """The events of an init. It is asked to stop after `stops_at`."""

    def __init__(self) -> None:
        self.log = b""
        self.warnings: list[str] = []
        self.stops_at: bytes | None = None

    def output(self, text: bytes) -> None:
        self.log += text

    def noted(self, facts: Mapping[str, Any]) -> None:
        self.warnings = facts.get("warnings", self.warnings)

    def stop(self) -> StopLevel:
        told = self.stops_at is not None and self.stops_at in self.log
        return StopLevel.INTERRUPT if told else StopLevel.GO_ON


@dataclass
class Done:
    """An init that ended well. `linked` are the providers that are links to somewhere else."""

    log: str
    lock: str
    linked: dict[str, str]
    written: int
    warnings: list[str]
    seconds: float

    @property
    def version(self) -> str:
        """Of the one provider, as its lock file says."""
        (selected,) = locked.parse(self.lock.encode()).values()
        return selected.version


@dataclass
class Machine:
    """A worker's machine, for runs with one tool."""

    root: Path
    tool: Tool
    registry: Registry
    most_bytes: int = 1 << 30
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def cache(self) -> Cache:
        return registries.caches(self.job())[0]

    def job(self, *variables: Variable, owner: str = "project") -> Job:
        made = job(self.root, *variables, **self.settings)
        place = ProviderCache(self.root / "providers", owner, self.most_bytes)
        limits = replace(made.limits, registry_waits=(0.1,) * 6)
        return replace(made, provider_cache=place, limits=limits)

    def package(self, version: str) -> Package:
        return Package(f"{self.registry.host}/{NAME}", version, own_platform())

    def needs(self, constraint: str = "", host: str = "") -> str:
        version = f'\n version = "{constraint}"' if constraint else ""
        source = f'source = "{host or self.registry.host}/{NAME}"'
        wanted = f"thing = {{\n {source}{version}\n }}"
        return f"terraform {{\n required_providers {{\n {wanted}\n }}\n}}\n"

    def init(
        self,
        sources: str = "",
        lock: str = "",
        *variables: Variable,
        events: Recorded | None = None,
        owner: str = "project",
        files: Mapping[str, str] | None = None,
    ) -> Done:
        """Raises RunnerError."""
        heard = events or Recorded()
        this = self.job(*variables, owner=owner)
        with ExitStack() as stack:
            work = stack.enter_context(workdir.create(this.work_root, f"run-{next(_runs)}", 1))
            folder = work.checkout / "source"
            folder.mkdir()
            (folder / "main.tf").write_text(sources or self.needs())
            for name, content in (files or {}).items():
                (work.checkout / name).parent.mkdir(parents=True, exist_ok=True)
                (work.checkout / name).write_text(content)
                (work.checkout / name).chmod(0o755)
            if lock:
                (folder / ".terraform.lock.hcl").write_text(lock)
            opened = stack.enter_context(room.opened(work, terms(self.tool, this)))
            context = RunContext(this, heard, work, opened, self.tool)  # type: ignore[arg-type]  # what an init tells
            context.begin()
            command = commands.init(self.tool, [])
            started = perf_counter()
            providers.initialise(context, folder, lambda more: context.run(command, folder, more))
            return _done(heard, work, folder, perf_counter() - started)

    def together(self, count: int) -> list[Done | BaseException]:
        """Inits at once."""
        ended: list[Done | BaseException] = []

        def one() -> None:
            try:
                ended.append(self.init())
            except BaseException as error:  # noqa: BLE001 the test looks at it
                ended.append(error)

        threads = [threading.Thread(target=one) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return ended


def without(lock: str, kind: str) -> str:
    """A lock file without the hashes of one kind."""
    return re.sub(rf'^ *"{kind}:.*\n', "", lock, flags=re.MULTILINE)


def _done(heard: Recorded, work: WorkDir, folder: Path, seconds: float) -> Done:
    kept = work.data / "providers"
    links = {str(p.relative_to(kept)): str(p.readlink()) for p in kept.rglob("*") if p.is_symlink()}
    files = [path for path in kept.rglob("*") if path.is_file() and not path.is_symlink()]
    written = sum(path.stat().st_size for path in files)
    lock = (folder / ".terraform.lock.hcl").read_text()
    return Done(heard.log.decode(), lock, links, written, heard.warnings, seconds)
