"""Init with the cache of providers: nothing is downloaded that this worker has already.

With a lock file every version is known before: what the cache lacks is fetched into it first, and
no registry is asked. Without one the registry says which version is the newest, and the package
comes from the cache if it is there, or else gets into it afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from runner.errors import Stopped, ToolError
from runner.providers import locked, methods
from runner.providers.methods import Methods, Mirror
from runner.recipes import filling, stock
from runner.recipes.context import RunContext
from runner.recipes.stock import Stock
from runner.tools import provider_failures, registries
from runner.tools.environment import write_settings

_SETTINGS = "TF_CLI_CONFIG_FILE"
_POLL_SECONDS = 0.2
_OFFLINE = (
    "The registry of providers could not be asked. They are taken from this worker, which may lack "
    "newer versions."
)

Init = Callable[[Mapping[str, str]], object]


@dataclass(frozen=True)
class _Ways:
    """Settings files for one init: what this worker has for sure, then everything, then no network.

    The last two are empty where they would be no different.
    """

    first: str
    every: str
    offline: str


def initialise(context: RunContext, folder: Path, init: Init) -> None:
    """Run init, which gets more environment, and keep what it has downloaded. Raises as `init`."""
    caches = tuple(cache for cache in registries.caches(context.job) if cache.folder.is_dir())
    try:
        selected = locked.read(context.work.root, folder)
    except ToolError as unreadable:
        context.warn(f"{unreadable.message} So the cache of providers is not used.")
        caches, selected = (), {}
    missing = stock.taken(context, caches, selected).missing
    if caches:
        filling.fill(context, caches[-1], missing)
    with stock.held(caches) as held:
        there = stock.taken(context, caches, selected)
        stock.accept(context, folder, there)
        _try(context, init, _ways(context, folder, there))
        for package in stock.installed(context):
            for fd in held.pop(package, ()):
                context.room.keep_open(fd)
            for cache in caches:
                cache.used(package)
    if caches:
        filling.fill(context, caches[-1], stock.downloaded(context, there))


def _ways(context: RunContext, folder: Path, there: Stock) -> _Ways:
    """Write the settings files before init: later a file of the run may be in their place."""
    room, work = context.room, context.work
    mirrors = [Mirror(cache.folder, frozenset(there.doubted[cache])) for cache in there.caches]
    never: frozenset[str] = frozenset()
    admins = stock.of_administrator(context)
    if context.job.provider_mirror is not None:
        mirrors.insert(0, Mirror(context.job.provider_mirror))
    elif mirrors:
        implied = list(methods.implied(folder, room.inside(folder)))
        never = frozenset().union(*(providers for _, providers in implied))
        mirrors = [Mirror(m.folder, m.exclude | never) for m in mirrors]
        mirrors[:0] = [Mirror(place) for place, _ in implied]
    here = frozenset(p.address for cache in there.caches for p in cache.every()) | admins

    def written(name: str, not_asked: frozenset[str]) -> str:
        return write_settings(Methods(tuple(mirrors), not_asked | never), work, room, name)

    first = admins | there.sure
    return _Ways(
        written("settings", first),
        written("settings-every", frozenset()) if first else "",
        written("settings-offline", here) if here - first else "",
    )


def _try(context: RunContext, init: Init, ways: _Ways) -> None:
    """Init from what is here for sure, then from everywhere, and without a network at last."""
    try:
        _patiently(context, init, ways.first)
    except ToolError as error:
        if ways.every and provider_failures.is_lacking(error):
            context.say("This worker lacks a provider that is needed: asking the registry.")
            _or_offline(context, init, ways.every, ways.offline)
        elif error.code in provider_failures.AWAY and ways.offline:
            _offline(context, init, ways.offline, error)
        else:
            raise


def _or_offline(context: RunContext, init: Init, settings: str, offline: str) -> None:
    try:
        _patiently(context, init, settings)
    except ToolError as error:
        if error.code not in provider_failures.AWAY or not offline:
            raise
        _offline(context, init, offline, error)


def _offline(context: RunContext, init: Init, settings: str, reason: ToolError) -> None:
    context.say(_OFFLINE)
    try:
        init({_SETTINGS: settings})
    except ToolError as error:
        raise (reason if provider_failures.is_lacking(error) else error) from None
    context.warn(_OFFLINE)


def _patiently(context: RunContext, init: Init, settings: str) -> None:
    """Init, again after a while each time that a registry is asked too often."""
    for seconds in context.job.limits.registry_waits:
        try:
            init({_SETTINGS: settings})
        except ToolError as error:
            if error.code != provider_failures.THROTTLED:
                raise
            context.say(f"The registry is asked too often: trying again in {seconds:g} s.")
            _pause(context, seconds)
        else:
            return
    init({_SETTINGS: settings})


def _pause(context: RunContext, seconds: float) -> None:
    until = monotonic() + seconds
    while monotonic() < until:
        if context.events.stop():
            raise Stopped("canceled", "The run was canceled while it waited for a registry.")
        sleep(min(_POLL_SECONDS, seconds))
