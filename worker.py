"""The Celery worker: claim a run's row, execute it with no transaction open, finish the row.

The message is only a bell. A poller finds what was rung for in vain, so that everything happens
without the broker too, a little later.
"""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import structlog
from celery import Celery
from celery.worker import WorkController
from sqlalchemy.exc import OperationalError

from backend.broker import RUN_TASK, celery_app, queue_name
from backend.config import Settings
from backend.errors import Error, Unavailable
from backend.runs import approvals, claims, tool_needs, workers
from backend.transactions import Installation
from backend.upkeep import duties, installation
from backend.upkeep.ticker import Duty, Ticker
from execution import attempts, jobs, pulses, tool_versions, unsaved
from execution.events import Execution
from runner.errors import Fenced
from runner.job import Job
from runner.processes import leftovers, orphans, room, sandbox, signals, workdir
from runner.processes.sandbox import Sandbox
from runner.processes.workdir import WorkDir
from runner.providers import cache
from runner.recipes import applying
from runner.sources import mirror

log = structlog.get_logger()
STOPS = frozenset({signal.SIGTERM, signal.SIGINT})
PULSE_SECONDS = 0.25
SWEEP_SECONDS = 20.0
BEAT_SECONDS = 10.0
ORPHANS_SECONDS = 5.0
MIRRORS_SECONDS = 600.0


class Worker:
    """Executes runs in its slots. Whoever rings, and however often, a run is claimed once."""

    def __init__(self, here: Installation, sandbox: str | None = None) -> None:
        self.name = f"{claims.process_name(os.getpid())}:{secrets.token_hex(3)}"
        self._here, self._sandbox = here, sandbox
        self._queues = here.settings.queues
        # since when, by orphans.clock; one run may be here twice: fenced, and again
        self._active: dict[Execution, float] = {}
        self._orphaned: dict[str, float] = {}  # folders of dead runs: when somebody was seen there
        self._draining = threading.Event()
        self._interrupted = threading.Event()
        self._counting = threading.Lock()
        self._busy = 0

    def take(self, run_id: str) -> None:
        """Execute this run if it is there to be taken, then what else waits, in a free slot."""
        if self._draining.is_set() or not self._take_slot():
            return
        try:
            waiting: Sequence[str] = [run_id]
            while waiting and not self._draining.is_set():
                self._execute(waiting[0])
                waiting = self._claimable(1)
        except Unavailable as error:
            log.warning("take_failed", run=run_id, reason=error.message)
        except Exception as bug:  # a pool keeps it to itself; the lease ends the run
            log.exception("take_crashed", run=run_id, exc_info=bug)
        finally:
            self._give_slot()

    def poll(self, pool: ThreadPoolExecutor) -> None:
        """Look for what was rung for in vain, when there is a slot for it."""
        if self._busy >= self._here.settings.worker_slots:
            return
        try:
            waiting = self._claimable(self._here.settings.worker_slots)
        except Unavailable as error:
            log.warning("poll_failed", reason=error.message)
            return
        for run_id in waiting:
            pool.submit(self.take, run_id)

    def _claimable(self, limit: int) -> Sequence[str]:
        settings = self._here.settings
        with self._here.database.reading() as db:
            needs = tool_needs.of_waiting(db)
            lacking = [need for need in needs if tool_versions.lacks(settings, need)]
            return claims.claimable(db, limit, self._queues, settings.max_runs, lacking)

    def drain(self) -> None:
        """Take nothing new."""
        self._draining.set()

    @property
    def is_busy(self) -> bool:
        return self._busy > 0

    def interrupt(self) -> None:
        """Let every tool at work save its state and end; take nothing new."""
        self._draining.set()
        self._interrupted.set()
        for at_work in list(self._active):
            at_work.interrupt()

    def pulse(self) -> None:
        pulses.renew(list(self._active), self._here.settings.url)

    def beat(self) -> None:
        """Say that this worker lives, for the metrics."""
        settings = self._here.settings
        able = workers.Abilities(
            settings.worker_slots,
            self._sandbox,
            self._queues,
            tool_versions.installed(settings),
            settings.tools_install,
        )
        with self._here.itself.transaction() as tx:
            workers.beat(tx, self.name, able)

    def leave(self) -> None:
        """Be no longer known: a worker that was stopped is not one that fell silent."""
        with self._here.itself.transaction() as tx:
            workers.leave(tx, self.name)

    def sweep(self) -> None:
        """Take in what dead runs left on this machine, then remove their folders."""
        root = self._here.settings.work_dir
        keep = {workdir.name(e.run_id, e.epoch) for e in list(self._active)}
        for left in workdir.leftovers(root, keep):
            try:
                self._sweep(left)
            except (Error, OSError) as error:  # the others are not to wait for this one
                log.warning("leftover_stays", folder=left.root.name, reason=str(error))

    def _sweep(self, left: WorkDir) -> None:
        run_id, _, epoch = left.root.name.rpartition(".")
        with self._here.database.reading() as db:
            if claims.at_work(db, run_id, int(epoch)):
                return  # its lease will tell
        if self._may_be_saving(left):
            return
        for document in applying.unwritten_states(left):
            unsaved.keep_leftover(self._here, run_id, document)
        workdir.remove(left.root)

    def _may_be_saving(self, left: WorkDir) -> bool:
        """Whether a dead run's tool is at work in its folder; after its grace what is left ends."""
        if not leftovers.live_in(left.root):
            return False
        since = self._orphaned.setdefault(left.root.name, time.monotonic())
        if time.monotonic() - since < self._here.settings.stop_grace_seconds:
            return True
        leftovers.kill_in(left.root)
        return False

    def sweep_mirrors(self) -> None:
        """Remove the mirrors of repositories that were not used for long, or take too much disk."""
        settings = self._here.settings
        unused = timedelta(days=settings.mirror_days).total_seconds()
        if removed := mirror.sweep(settings.mirrors_dir, unused, settings.max_mirror_bytes):
            log.info("mirrors_removed", mirrors=removed)

    def sweep_providers(self) -> None:
        """Remove providers that were not used for long, or take too much disk."""
        settings = self._here.settings
        unused = timedelta(days=settings.provider_cache_days).total_seconds()
        most = settings.max_provider_cache_bytes
        if removed := cache.sweep(settings.providers_path, unused, most):
            log.info("providers_removed", providers=removed)

    def end_orphans(self) -> None:
        """End what commands left behind: a child that is older than every run at work."""
        if ended := orphans.kill(lambda: min([orphans.clock(), *list(self._active.values())])):
            log.warning("orphans_ended", processes=ended)

    def _take_slot(self) -> bool:
        with self._counting:
            free = self._busy < self._here.settings.worker_slots
            self._busy += free
        return free

    def _give_slot(self) -> None:
        with self._counting:
            self._busy -= 1

    def _execute(self, run_id: str) -> None:
        found = self._claim(run_id)
        if found is None:
            return
        at_work, job = found
        with structlog.contextvars.bound_contextvars(run=run_id, epoch=at_work.epoch):
            self._active[at_work] = orphans.clock()
            if self._interrupted.is_set():  # it came too late to be told with the others
                at_work.interrupt()
            try:
                attempts.attempt(at_work, job, self._here.settings.url)
            except Fenced:
                log.warning("run_fenced")
                at_work.abandon()
            except Error as error:
                log.error("run_not_finished", reason=error.message)  # its lease will end it
            finally:
                del self._active[at_work]

    def _claim(self, run_id: str) -> tuple[Execution, Job | Exception] | None:
        """Claim a run and resolve its job, in one transaction; None when it is not to be taken.

        What is wrong with the job does not undo the claim: else the run would have no end.
        """
        lease = timedelta(seconds=self._here.settings.lease_seconds)
        with self._here.itself.transaction() as tx:
            need = tool_needs.of_run(tx.db, run_id)
            if need is not None and tool_versions.lacks(self._here.settings, need):
                return None  # it waits for a worker that has the tool
            claimed = claims.claim(tx, run_id, self.name, lease, self._queues)
            if claimed is None:
                return None
            at_work = Execution(self._here, claimed)
            try:
                with tx.db.begin_nested():
                    if claimed.approved_at is not None and approvals.end_if_stale(tx, claimed):
                        return None
                    at_work.binds(tx, claimed)
                    return at_work, jobs.resolve(tx, claimed)
            except OperationalError:
                raise  # the database is away: there is no claim either
            except Exception as fault:  # noqa: BLE001 it is raised where every fault ends the run
                return at_work, fault


def main(settings: Settings) -> None:
    """Work until SIGTERM (what is at work ends first) or SIGINT (it saves and ends now)."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # they wait until this thread asks for them
    chosen = confined(settings)
    here = installation.prepare(settings)
    orphans.adopt()
    worker = Worker(here, str(chosen))
    worker.beat()
    ticker = Ticker([*duties.of_worker(here), *_own_duties(worker, settings)])
    ticker.start()
    bell = _listen(settings, worker)
    _keep_alive(worker)
    log.info("worker_started", worker=worker.name, slots=settings.worker_slots, sandbox=str(chosen))
    with ThreadPoolExecutor(settings.worker_slots, thread_name_prefix="run") as pool:
        heard = None
        while heard is None:
            worker.poll(pool)
            heard = signals.wait_for(STOPS, settings.poll_seconds)
        _end(worker, heard)
    bell.stop()
    ticker.stop()
    try:
        worker.leave()
    except Unavailable as error:  # it is forgotten an hour later
        log.warning("leave_failed", reason=error.message)
    log.info("worker_stopped", worker=worker.name)


def confined(settings: Settings) -> Sandbox:
    """The sandbox of this worker's runs, once for all. Raises ToolError `sandbox-unavailable`."""
    chosen = room.chosen(settings.sandbox, settings.work_dir.absolute(), settings.users)
    sandbox.check(settings.sandbox, chosen)
    if not chosen.is_full:
        log.warning("sandbox_degraded", layer=str(chosen), reason=chosen.why)
    return chosen


def _end(worker: Worker, heard: int) -> None:
    """Wait for what is at work; SIGINT, now or later, lets it save and end."""
    worker.drain()
    while worker.is_busy:
        if heard == signal.SIGINT:
            worker.interrupt()
        heard = signals.wait_for(STOPS, PULSE_SECONDS) or heard


def tasks(app: Celery, worker: Worker) -> None:
    """The one task: a run's id. Delivering it twice, late or never is harmless."""

    @app.task(name=RUN_TASK)  # type: ignore[untyped-decorator]  # celery ships no types
    def take(run_id: str) -> None:
        worker.take(run_id)


def _listen(settings: Settings, worker: Worker) -> WorkController:
    """A Celery worker in a thread of its own: whatever becomes of it, the poller goes on."""
    app = celery_app(settings)
    tasks(app, worker)
    controller = app.WorkController(
        pool="threads",
        concurrency=settings.worker_slots,
        queues=[queue_name(label) for label in settings.queues],
        without_mingle=True,  # it waits a second for other workers, and hears nothing meanwhile
        without_gossip=True,
        without_heartbeat=True,
    )
    threading.Thread(target=controller.start, daemon=True, name="celery").start()
    return controller


def _own_duties(worker: Worker, settings: Settings) -> list[Duty]:
    """What a worker repeats on its own machine."""
    repeated = {
        "beat": (worker.beat, BEAT_SECONDS),
        "sweep-folders": (worker.sweep, min(SWEEP_SECONDS, settings.lease_seconds)),
        "sweep-mirrors": (worker.sweep_mirrors, MIRRORS_SECONDS),
        "sweep-providers": (worker.sweep_providers, MIRRORS_SECONDS),
        "end-orphans": (worker.end_orphans, ORPHANS_SECONDS),
    }
    return [Duty(name, _each(work, seconds), seconds) for name, (work, seconds) in repeated.items()]


def _each(work: Callable[[], None], seconds: float) -> Callable[[], float]:
    def do() -> float:
        work()
        return seconds

    return do


def _keep_alive(worker: Worker) -> None:
    """Renew the leases in a thread that no other duty holds up: else every run would be lost."""

    def pulse() -> float:
        worker.pulse()
        return PULSE_SECONDS

    Ticker([Duty("pulse", pulse, PULSE_SECONDS)]).start()
