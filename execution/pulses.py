"""The pulse of a worker: it renews the leases of its runs, and hears whether they shall stop."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from backend.errors import Unavailable
from execution import server
from execution.events import Execution

log = structlog.get_logger()


def renew(active: Sequence[Execution], url: str) -> None:
    """Renew the leases of the runs at work.

    While nobody can reach the database, nobody can take a run from its worker either, and a lease
    that ends means nothing: the run goes on. A worker that is the only one to miss the database
    stops its runs when their leases end. The server at this URL knows the difference.
    """
    for place, at_work in enumerate(active):
        try:
            at_work.pulse()
        except Unavailable as error:
            log.warning("pulse_failed", run=at_work.run_id, reason=error.message)
            _hold_on(active[place:], url)  # to ask for each of them takes too long
            return
        except Exception as bug:  # the others' pulse is not to wait for this one
            log.exception("pulse_crashed", run=at_work.run_id, exc_info=bug)


def _hold_on(unheard: Sequence[Execution], url: str) -> None:
    ending = [at_work for at_work in unheard if at_work.lease_is_ending()]
    if not ending or not server.misses_the_database(url):
        return
    for at_work in ending:
        at_work.hold_on()
