"""The bell: Celery messages that tell workers to look for work.

A message has the id of a run and nothing else: what to do is in the run's row. A message may be
lost or delivered twice, so workers also look at the rows at intervals.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from backend.config import Settings

RUN_TASK = "stateroom.run"
QUEUE = "stateroom"
TIMEOUT_SECONDS = 1.0
POLL_SECONDS = 5.0  # a consumer waits for a message longer than a sender does for an answer
MOST_WAITING = 1000  # rings that wait for the broker; what comes on top is left to the poll
FOLDER_SCHEME = "filesystem://"
FOLDER = "backend.folder_bell:Transport"

log = structlog.get_logger()


def celery_app(settings: Settings, answer_seconds: float = POLL_SECONDS) -> Celery:
    """A Celery application, which gives up a broker that does not answer for so long."""
    app = Celery("stateroom", broker=settings.broker_url, set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_publish_retry=False,  # workers poll anyway, and a retry would delay the caller
        broker_connection_timeout=TIMEOUT_SECONDS,
        broker_connection_retry_on_startup=True,
        broker_transport=FOLDER if settings.broker_url.startswith(FOLDER_SCHEME) else None,
        broker_transport_options=_transport_options(settings, answer_seconds),
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        task_acks_late=False,
    )
    return app


def queue_name(label: str) -> str:
    """The name that Celery knows the queue of this label by."""
    return QUEUE if label == "default" else f"{QUEUE}.{label}"


def _transport_options(settings: Settings, answer_seconds: float) -> dict[str, Any]:
    if not settings.broker_url.startswith(FOLDER_SCHEME):
        return {
            "socket_connect_timeout": TIMEOUT_SECONDS,
            "socket_timeout": answer_seconds,
            "max_retries": 0,
        }
    folder = settings.bell_dir
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {
        "data_folder_in": str(folder),
        "data_folder_out": str(folder),
        "control_folder": str(folder / "control"),
    }


class Bell:
    """Tells the workers to look for work. A message may be lost, or delivered twice.

    A thread of its own sends the messages: no request waits for the broker.
    """

    def __init__(self, settings: Settings) -> None:
        self._celery = celery_app(settings, TIMEOUT_SECONDS)
        self._waiting: deque[tuple[str, str]] = deque()
        self._mutex = threading.Lock()
        self._is_ringing = False

    def ring(self, run_id: str, queue: str) -> None:
        """Ring for a run in a queue soon, after its commit. If that fails, it is logged."""
        with self._mutex:
            if len(self._waiting) >= MOST_WAITING:
                log.warning("bell_lost", run=run_id, reason="Too many rings wait for the broker.")
                return
            self._waiting.append((run_id, queue))
            if self._is_ringing:
                return
            self._is_ringing = True
        threading.Thread(target=self._ring_for_all, daemon=True, name="bell").start()

    def check(self) -> None:
        """Raise OperationalError or OSError when the broker does not answer."""
        with self._celery.connection_for_write() as connection:
            connection.ensure_connection(max_retries=0, timeout=TIMEOUT_SECONDS)

    def _ring_for_all(self) -> None:
        """Send what waits. When the broker does not answer, leave all of it to the poll."""
        while (waiting := self._next()) is not None:
            run_id, queue = waiting
            try:
                self._celery.send_task(
                    RUN_TASK, args=(run_id,), queue=queue_name(queue), retry=False, expires=None
                )
            except (OperationalError, OSError) as error:
                log.warning("bell_lost", run=run_id, others=self._forget(), reason=str(error))
            except Exception as bug:
                log.error("bell_crashed", run=run_id, others=self._forget(), exc_info=bug)

    def _next(self) -> tuple[str, str] | None:
        """The next run to ring for; None, and the thread ends, when there is none."""
        with self._mutex:
            self._is_ringing = bool(self._waiting)
            return self._waiting.popleft() if self._waiting else None

    def _forget(self) -> int:
        with self._mutex:
            forgotten = len(self._waiting)
            self._waiting.clear()
        return forgotten
