"""Fill the cache of providers, from a room that has nothing of a repository in it.

A run may write whatever it likes into its own folder, so nothing from there gets into the cache,
which other runs trust. The tool downloads the package again, by its name and version alone, with
its own checks: the registry's certificate, checksum and signature.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import PurePosixPath

from runner.errors import RunnerError, Stopped, ToolError
from runner.processes import found, placed, process, room, workdir
from runner.processes.process import child_environment
from runner.processes.room import Room
from runner.processes.workdir import WorkDir
from runner.providers.cache import Cache
from runner.providers.methods import Methods
from runner.providers.package import Package
from runner.recipes.context import RunContext
from runner.sources import credentials
from runner.tools import commands, registries
from runner.tools.environment import terms, write_settings
from runner.tools.failures import Diagnosis

_SAID_BYTES = 1 << 20


def fill(context: RunContext, cache: Cache, wanted: Iterable[Package]) -> None:
    """Fetch packages into a cache. What cannot be fetched is said; only Stopped is raised."""
    missing = [package for package in wanted if cache.find(package) is None]
    if not missing:
        return
    try:
        with _clean_room(context) as (work, opened):
            for package in missing:
                _fetch(context, cache, package, work, opened)
    except Stopped:
        raise
    except (RunnerError, OSError) as error:
        context.say(f"The cache of providers was not filled: {error}")


def _fetch(
    context: RunContext, cache: Cache, package: Package, work: WorkDir, opened: Room
) -> None:
    def wait() -> None:
        if context.events.stop():
            raise Stopped("canceled", "The run was canceled while another one fetched a provider.")

    try:
        with cache.filling(package, wait):
            if cache.find(package) is None:
                context.say(f"Fetching {package} for the cache of this worker.")
                with _downloaded(context, package, work, opened) as archive:
                    cache.put(package, archive, context.job.room.disk or _most(context))
    except Stopped:
        raise
    except (RunnerError, OSError) as error:
        context.say(f"{package} is not in the cache of this worker: {error}")


def _most(context: RunContext) -> int:
    place = context.job.provider_cache
    return place.most_bytes if place else 0


@contextlib.contextmanager
def _clean_room(context: RunContext) -> Iterator[tuple[WorkDir, Room]]:
    job = context.job
    name = f"p-{secrets.token_hex(8)}"  # the sweep of dead runs removes it, too
    with (
        workdir.create(job.work_root, name, 1) as work,
        room.opened(work, terms(context.tool, job)) as opened,
    ):
        yield work, opened


@contextlib.contextmanager
def _downloaded(
    context: RunContext, package: Package, work: WorkDir, opened: Room
) -> Iterator[BufferedReader]:
    """The archive, as the tool has downloaded and verified it. Raises ToolError and Stopped."""
    job = context.job
    required = {"provider": {"source": package.address, "version": f"= {package.version}"}}
    content = json.dumps({"terraform": {"required_providers": required}}).encode()
    folder = work.checkout.relative_to(work.root)
    placed.place(work.root, PurePosixPath(folder, "main.tf.json"), content, opened.user)
    own = {
        "TF_CLI_CONFIG_FILE": write_settings(Methods((), frozenset()), work, opened, "settings"),
        "TF_DATA_DIR": str(opened.seen.data),
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
    }
    path = context.environment["PATH"]
    given = {**registries.access(job), **credentials.registry_tokens(job.git_credentials), **own}
    command = commands.mirror(context.tool, package.platform, opened.seen.plan)
    said = process.capture(
        command.argv,
        env=child_environment(opened.seen.home, opened.seen.tmp, path, given),
        cwd=opened.inside(work.checkout),
        deadline=job.limits.command,
        limit=_SAID_BYTES,
        stop=context.events.stop,
        stop_grace=min(job.limits.stop_grace, 10.0),
        room=opened,
    )
    if said.returncode:
        diagnosis = Diagnosis()
        diagnosis.feed(said.stdout + said.stderr)
        raise diagnosis.failure(context.tool.name, command.step, said.returncode)
    for archive in found.named(work.root, work.plan.name, package.archive.name):
        yield archive
        return
    raise ToolError("provider-unavailable", f"{context.tool.name} has written no archive of it.")
