"""When a process dies while a state moves, it is in one place, and people are told which."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.support.elsewhere import Http, give, heading, resources
from tests.support.place import Place
from tests.support.processes import wait_until
from tests.support.queued_run import QueuedRun
from tests.support.repositories import MODULE, Repository
from tests.support.stateroom import Stateroom

SHORT_LEASE = 4.0  # seconds: a machine that is busy must not look like a dead worker
STATE = {
    "version": 4,
    "terraform_version": "1.9.0",
    "serial": 7,
    "lineage": "somebodys",
    "outputs": {"greeting": {"value": "hello", "type": "string"}},
    "resources": [],
    "check_results": None,
}
DOCUMENT = f"{json.dumps(STATE, indent=2)}\n".encode()  # as terraform writes it

SOMEBODY_WAITS = (
    "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
    "AND datname = current_database()"
)


@pytest.fixture
def new_mortal(new_stateroom: Callable[..., Stateroom]) -> Callable[..., Stateroom]:
    """Makes installations that may be killed."""

    def make(**settings: object) -> Stateroom:
        return new_stateroom(lease_seconds=SHORT_LEASE, stop_grace_seconds=1, **settings).start()

    return make


@pytest.fixture
def importing(repository: Repository, slow_http: Http) -> Callable[[Stateroom], Place]:
    """Makes places whose sources have a state elsewhere."""

    def make(installation: Stateroom) -> Place:
        slow_http.document = DOCUMENT
        repository.replace({"main.tf": MODULE, "backend.tf": slow_http.block})
        place = installation.place(repository=str(repository.folder))
        give(place, slow_http)
        return place

    return make


@pytest.fixture
def exporting(repository: Repository, slow_http: Http) -> Callable[[Stateroom], Place]:
    """Makes places with a state of their own, whose sources name another backend."""

    def make(installation: Stateroom) -> Place:
        repository.replace({"main.tf": MODULE})
        place = installation.place(repository=str(repository.folder))
        place.queue("apply").wait("applied")
        repository.commit({"backend.tf": slow_http.block})
        give(place, slow_http)
        return place

    return make


@contextmanager
def waiting_at(backend: Http, verb: str, count: int) -> Iterator[Callable[[], None]]:
    """The request with this number waits until the block is left; call to see it there."""
    stall = backend.stall(verb, count)
    try:
        yield lambda: _seen(backend, verb, count)
    finally:
        stall.set()


def _seen(backend: Http, verb: str, count: int) -> None:
    wait_until(lambda: backend.seen.count(verb) >= count, f"{verb} number {count}", seconds=60)


def swept(installation: Stateroom) -> None:
    """What a dead run left in its folder goes within 60 seconds, once there is a worker."""
    if not installation.workers:
        installation.start_worker()
    wait_until(lambda: not installation.work_folders(), "the dead run's folder to go", seconds=60)


def in_mid(place: Place, operation: str, arrived: Callable[[], None]) -> QueuedRun:
    run = place.queue(operation)
    arrived()
    return run


def test_an_import_that_dies_while_it_reads_is_begun_again(
    new_mortal: Callable[..., Stateroom],
    importing: Callable[[Stateroom], Place],
    slow_http: Http,
) -> None:
    installation = new_mortal()
    place = importing(installation)

    with waiting_at(slow_http, "GET", 2) as arrived:
        run = in_mid(place, "import-state", arrived)
        installation.kill_worker()
    installation.start_worker()
    ended = run.wait(seconds=60)

    assert (ended["status"], ended["attempts"]) == ("applied", 2)
    assert heading(place.state.read().body) == ("somebodys", 7)
    assert len(place.versions()) == 1
    swept(installation)


def test_an_import_that_dies_after_it_wrote_is_lost_and_harmless_to_repeat(
    new_mortal: Callable[..., Stateroom],
    importing: Callable[[Stateroom], Place],
    slow_http: Http,
) -> None:
    installation = new_mortal()
    place = importing(installation)

    with waiting_at(slow_http, "GET", 3) as arrived:
        run = in_mid(place, "import-state", arrived)
        installation.kill_worker()
    ended = run.wait("lost", seconds=20)

    assert "version 1" in ended["error"]["message"]
    assert heading(place.state.read().body) == ("somebodys", 7)
    assert not place.is_locked()
    run.acknowledge()
    installation.start_worker()
    place.queue("import-state").wait("applied")
    assert len(place.versions()) == 1
    swept(installation)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_an_import_that_dies_before_it_wrote_changed_nothing(
    new_mortal: Callable[..., Stateroom], importing: Callable[[Stateroom], Place], database: str
) -> None:
    installation = new_mortal(database_url=database)
    place = importing(installation)

    with psycopg.connect(database) as connection:
        connection.execute("SELECT * FROM locks FOR UPDATE")  # its write waits for this row
        run = place.queue("import-state")
        run.wait("applying")
        wait_until(lambda: connection.execute(SOMEBODY_WAITS).fetchone(), "the write to wait")
        installation.kill_worker()
    ended = run.wait("lost", seconds=20)

    assert "version 0" in ended["error"]["message"]
    assert place.versions() == []
    swept(installation)


def test_a_canceled_import_changes_nothing(
    new_mortal: Callable[..., Stateroom],
    importing: Callable[[Stateroom], Place],
    slow_http: Http,
) -> None:
    place = importing(new_mortal())

    with waiting_at(slow_http, "GET", 2) as arrived:
        run = in_mid(place, "import-state", arrived)
        run.cancel()
        run.wait("canceled", seconds=20)

    assert place.versions() == []


def test_an_export_that_dies_while_it_looks_is_begun_again(
    new_mortal: Callable[..., Stateroom],
    exporting: Callable[[Stateroom], Place],
    slow_http: Http,
) -> None:
    installation = new_mortal()
    place = exporting(installation)

    with waiting_at(slow_http, "GET", 2) as arrived:
        run = in_mid(place, "export-state", arrived)
        installation.kill_worker()
    installation.start_worker()
    ended = run.wait(seconds=60)

    assert (ended["status"], ended["attempts"]) == ("applied", 2)
    assert place.state.read().status == 410
    swept(installation)


def test_an_export_that_dies_while_it_writes_leaves_ours_in_use_and_is_gone_on_with(
    new_mortal: Callable[..., Stateroom],
    exporting: Callable[[Stateroom], Place],
    slow_http: Http,
) -> None:
    installation = new_mortal()
    place = exporting(installation)
    ours = place.state.read().body

    with waiting_at(slow_http, "POST", 1) as arrived:
        run = in_mid(place, "export-state", arrived)
        installation.kill_worker()
        ended = run.wait("lost", seconds=20)
    wait_until(lambda: slow_http.document, "the late write to arrive")

    assert "still the one in use" in ended["error"]["message"]
    assert place.state.read().body == ours
    assert not place.is_locked()
    run.acknowledge()
    installation.start_worker()
    place.queue("export-state").wait("applied")
    assert heading(slow_http.document)[0] == heading(ours)[0]
    assert resources(slow_http.document) == resources(ours)
    assert place.state.read().status == 410
    swept(installation)


def test_a_canceled_export_says_that_a_copy_may_be_there(
    new_mortal: Callable[..., Stateroom],
    exporting: Callable[[Stateroom], Place],
    slow_http: Http,
) -> None:
    place = exporting(new_mortal())

    with waiting_at(slow_http, "POST", 1) as arrived:
        run = in_mid(place, "export-state", arrived)
        run.cancel()
        ended = run.wait("canceled", seconds=30)

    assert "a copy may be in backend:http" in " ".join(ended["warnings"])
    assert place.state.read().status == 200
    assert not place.is_locked()
