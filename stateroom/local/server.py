"""`stateroom server`: the API, the state backend and the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from stateroom.local import shared

if TYPE_CHECKING:
    from flask import Flask

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

    import socket

    from app import create_app
    from backend.upkeep import duties, installation
    from backend.upkeep.ticker import Ticker
    from backend.web import current, serve

    def application() -> Flask:
        app = create_app(settings)
        here: Installation = app.extensions[current.EXTENSION]
        Ticker(duties.of_server(here)).start()
        return app

    with shared.one_line():
        settings = shared.settings_of_a_service(**given)
        listener = socket.socket(fileno=listen_fd) if listen_fd else serve.listen(settings)
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        installation.prepare(settings).database.close()
    if until_end_of_input:
        serve.stop_at_end_of_input()
    else:
        shared.welcome(settings, None)
    serve.serve(settings, application, listener)
