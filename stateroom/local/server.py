"""`stateroom server`: the API, the state backend and the pages."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import click

from stateroom.local import shared

if TYPE_CHECKING:
    from flask import Flask

    from backend.config import Settings
    from backend.transactions import Installation


@click.command("server")
@shared.data_dir
@shared.address
@click.option("--listen-fd", type=int, hidden=True)
@click.option("--until-end-of-input", is_flag=True, hidden=True)
def command(*, listen_fd: int | None, until_end_of_input: bool, **given: Any) -> None:
    """Run the server: the API, the state backend and the pages."""
    from gevent import monkey

    monkey.patch_all()  # before anything imports socket, ssl or psycopg

    from stateroom.local import supervisor

    supervisor.let_signals_in()

    with shared.imports():
        import socket

        from backend.upkeep import duties, installation
        from backend.upkeep.ticker import Ticker
        from backend.web import current, serve

    with shared.one_line():
        settings = shared.settings_of_a_service(**given)
        listener = socket.socket(fileno=listen_fd) if listen_fd else serve.listen(settings)
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        installation.prepare(settings).database.close()
        _count_together(settings)
    with shared.imports():
        from app import create_app  # not before its processes count together

    def application() -> Flask:
        app = create_app(settings)
        here: Installation = app.extensions[current.EXTENSION]
        Ticker(duties.of_server(here)).start()
        return app

    if until_end_of_input:
        serve.stop_at_end_of_input()
    else:
        shared.welcome(settings, None)
    serve.serve(settings, application, listener)


def _count_together(settings: Settings) -> None:
    """Give the server's processes a fresh folder for their counts of requests.

    prometheus_client looks for it when it is imported, and nowhere but in the environment.
    """
    if not settings.metrics_token:
        return
    shutil.rmtree(settings.metrics_dir, ignore_errors=True)
    settings.metrics_dir.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(settings.metrics_dir)
