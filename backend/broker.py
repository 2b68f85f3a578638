"""The bell: Celery messages that tell workers to look for work.

A message has the id of a run and nothing else: what to do is in the run's row. A message may be
lost or delivered twice, so workers also look at the rows at intervals.
"""

from __future__ import annotations

from typing import Any

import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from backend.config import Settings

RUN_TASK = "stateroom.run"
QUEUE = "stateroom"
TIMEOUT_SECONDS = 1.0
FOLDER_SCHEME = "filesystem://"
FOLDER = "backend.folder_bell:Transport"

log = structlog.get_logger()


def celery_app(settings: Settings) -> Celery:
    app = Celery("stateroom", broker=settings.broker_url, set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_publish_retry=False,  # workers poll anyway, and a retry would delay the caller
        broker_connection_timeout=TIMEOUT_SECONDS,
        broker_connection_retry_on_startup=True,
        broker_transport=FOLDER if settings.broker_url.startswith(FOLDER_SCHEME) else None,
        broker_transport_options=_transport_options(settings),
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        task_acks_late=False,
    )
    return app


def _transport_options(settings: Settings) -> dict[str, Any]:
    if not settings.broker_url.startswith(FOLDER_SCHEME):
        return {
            "socket_connect_timeout": TIMEOUT_SECONDS,
            "socket_timeout": 5.0,
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
    """Tells the workers to look for work. A message may be lost, or delivered twice."""

    def __init__(self, settings: Settings) -> None:
        self._celery = celery_app(settings)

    def ring(self, run_id: str) -> None:
        """Ring for a run after its commit. If the broker does not answer, only log a warning."""
        try:
            self._celery.send_task(RUN_TASK, args=(run_id,), retry=False, expires=None)
        except (OperationalError, OSError) as error:
            log.warning("bell_lost", run=run_id, reason=str(error))

    def check(self) -> None:
        """Raise OperationalError or OSError when the broker does not answer."""
        with self._celery.connection_for_write() as connection:
            connection.ensure_connection(max_retries=0, timeout=TIMEOUT_SECONDS)
