"""`stateroom worker`: executes queued runs."""

from __future__ import annotations

from typing import Any

import click

from stateroom.local import shared


@click.command("worker")
@shared.data_dir
@click.option(
    "--queue", "queues", multiple=True, metavar="LABEL",
    help="Take the runs of templates with this label only; can be repeated. Default: default "
    "[STATEROOM_WORKER_QUEUES].",
)  # fmt: skip
def command(*, queues: tuple[str, ...], **given: Any) -> None:
    """Run a worker, which executes queued runs."""
    from stateroom.local import supervisor

    supervisor.let_signals_in()
    with shared.imports():
        import worker

    with shared.one_line():
        settings = shared.settings_of_a_service(worker_queues=",".join(queues) or None, **given)
        shared.check_work_dir(settings)
        worker.main(settings)
