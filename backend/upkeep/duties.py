"""The duties of each kind of process: everything that an installation does again and again.

The ticker of the process calls them.
"""

from __future__ import annotations

from backend.audit.linker import TICK_SECONDS, Linker
from backend.transactions import Installation
from backend.upkeep.examination import Examiner
from backend.upkeep.reconciler import Reconciler
from backend.upkeep.rotation import Rotation
from backend.upkeep.ticker import Duty


def of_server(here: Installation) -> list[Duty]:
    """The duties of a server process. They include ending runs, in case there is no worker."""
    poll = here.settings.poll_seconds
    return [
        *_of_every_process(here),
        Duty("link", Linker(here), TICK_SECONDS),
        Duty("rotate", Rotation(here), poll),
        Duty("examine", Examiner(here), poll),
    ]


def of_worker(here: Installation) -> list[Duty]:
    """The duties of a worker. With SQLite it leaves most to the server, to have one writer only."""
    if not here.settings.is_sqlite:
        return of_server(here)
    follow = Duty("follow", Rotation(here).follow, here.settings.poll_seconds)
    return [*_of_every_process(here), follow]


def _of_every_process(here: Installation) -> list[Duty]:
    reconciler, poll = Reconciler(here), here.settings.poll_seconds
    return [
        Duty("expire-leases", reconciler.expire_leases, poll),
        Duty("end-waits", reconciler.end_waits, poll),
        Duty("look-at-plans", reconciler.look_at_plans, poll),
        Duty("prune", reconciler.prune, poll),
        Duty("sweep", reconciler.sweep, poll),
        Duty("forget-attempts", reconciler.forget_attempts, poll),
    ]
