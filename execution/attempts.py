"""One attempt at a claimed run: execute it with no transaction open, and write how it ended."""

from __future__ import annotations

import errno
import time

import structlog

from backend.errors import Error, Unavailable
from backend.runs import approvals
from execution import server
from execution.events import Execution
from runner.errors import Fenced, PlanStale, RunnerError, Stopped, ToolError, WindowClosed
from runner.job import Job
from runner.processes.ladder import CANCELED
from runner.recipes import run

log = structlog.get_logger()

AWAY, LOCKED = "server-unavailable", "state-locked"  # the runner's codes
FULL = (errno.ENOSPC, errno.EDQUOT)
SERVER_SECONDS = 60.0  # how long a run waits for the server before it is queued again
LOOK_SECONDS = 1.0


def attempt(at_work: Execution, job: Job | Exception, url: str) -> None:
    """Execute and finish. A fault that may pass before the apply queues the run again.

    `url` is the server's. Raises Fenced when the run is no longer ours to finish, and Unavailable
    when its end could not be written.
    """
    try:
        if isinstance(job, Exception):
            raise job  # noqa: TRY301 as if it were resolved here
        outcome = run.execute(job, at_work)
    except Stopped as stopped:
        _finish_stopped(at_work, stopped)
    except Fenced:
        raise
    except WindowClosed:
        at_work.wait_for_window()
    except Unavailable as error:
        at_work.give_back(error.code, error.message)
    except (RunnerError, Error) as error:
        _finish_failed(at_work, error, url)
    except Exception as fault:  # a run has an end, whatever it met
        log.exception("run_crashed", exc_info=fault)
        _finish_crashed(at_work, fault)
    else:
        if outcome.status == "planned":
            at_work.wait_for_approval()
        else:
            at_work.finish(outcome.status)


def _finish_failed(at_work: Execution, error: RunnerError | Error, url: str) -> None:
    """End the run with this error, or queue it again for one that may pass."""
    if error.code == AWAY:
        _wait_for_the_server(at_work, url)
        at_work.give_back(error.code, error.message)
    elif error.code == LOCKED and at_work.gives_way():
        log.info("run_waits_for_a_lock")
    elif isinstance(error, PlanStale) or error.code == approvals.STALE:
        said = f"{error.message} {approvals.AGAIN.format(run=at_work.run_id)}"
        at_work.finish("stale", error_code=approvals.STALE, error_message=said)
    else:
        at_work.fail(error)


def _finish_crashed(at_work: Execution, fault: Exception) -> None:
    """End the run with a fault of Stateroom itself, or of a disk that has no room for its files.

    After the apply has begun nobody knows what is lost, so it is not told that nothing is.
    """
    is_full = isinstance(fault, OSError) and fault.errno in FULL
    if is_full and not at_work.has_begun_to_apply:
        at_work.fail(ToolError("disk-full", "The disk of the worker is full."))
        return
    message = f"The runner failed: {type(fault).__name__}. The worker's log has more."
    at_work.finish("errored", error_code="runner-crashed", error_message=message)


def _wait_for_the_server(at_work: Execution, url: str) -> None:
    ends = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < ends and not at_work.stop() and not server.answers(url):
        time.sleep(LOOK_SECONDS)


def _finish_stopped(at_work: Execution, stopped: Stopped) -> None:
    """Write who stopped the run: a person, its worker, or the time that it may take."""
    if at_work.fenced:
        raise Fenced("fenced", "The run was taken from this worker.")
    code, message = stopped.code, stopped.message
    if code == "timed-out":
        at_work.fail(stopped)
        return
    if at_work.is_stopped_by_its_worker:
        code = "worker-stopped"
        message = message.replace(CANCELED, "its worker was stopped; nobody canceled the run")
    at_work.finish("canceled", error_code=code, error_message=message)
