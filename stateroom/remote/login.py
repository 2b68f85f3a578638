from __future__ import annotations

from pathlib import Path

import click

from client.api import Api
from stateroom import passwords
from stateroom.options import SERVER, checked_url


@click.command("login")
@click.option("--username", prompt=True, help="Asked for when it is not given.")
@passwords.FILE
@SERVER
def command(*, url: str, username: str, password_file: Path | None) -> None:
    """Sign in with a name and a password, and print a token that lasts 12 hours.

    export STATEROOM_TOKEN=$(stateroom login --username ada)
    """
    password = passwords.known(password_file)
    with Api(checked_url(url), token="") as api:
        issued = api.post("/login", {"username": username, "password": password})
    click.echo(issued["access_token"])
