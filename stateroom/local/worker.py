"""`stateroom worker`: executes queued runs."""

from __future__ import annotations

from typing import Any

import click

from stateroom.local import shared


@click.command("worker")
@shared.data_dir
def command(**given: Any) -> None:
    """Run a worker, which executes queued runs."""
    from stateroom.local import supervisor

    supervisor.let_signals_in()
    with shared.imports():
        import worker

    with shared.one_line():
        settings = shared.settings_of_a_service(**given)
        shared.check_work_dir(settings)
        worker.main(settings)
