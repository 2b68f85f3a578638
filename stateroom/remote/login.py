from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from client.api import Api
from stateroom import credentials, passwords
from stateroom.credentials import Entry
from stateroom.options import SERVER, TOKEN_VARIABLES, server_of
from stateroom.tables import cell


@click.command("login")
@click.option("--username", prompt=True, help="Asked for when it is not given.")
@passwords.FILE
@click.option("--print", "is_printed", is_flag=True, help="Print the token, and do not keep it.")
@SERVER
def command(
    *, url: str | None, username: str, password_file: Path | None, is_printed: bool
) -> None:
    """Sign in with a name and a password, for 12 hours.

    The token is kept for the commands that follow, in a file that you alone may read, and the
    server is the one that they talk to. For a shell or a script instead:

    export STATEROOM_TOKEN=$(stateroom login --print)
    """
    server = server_of(url)
    password = passwords.known(password_file)
    with Api(server, token="") as api:
        issued = api.post("/login", {"username": username, "password": password})
    if is_printed:
        click.echo(issued["access_token"])
        return
    ends = datetime.now(UTC) + timedelta(seconds=issued["expires_in"])
    entry = Entry(issued["access_token"], user=username, expires_at=ends.isoformat())
    credentials.remember(server, entry)
    click.echo(f"Signed in at {server} as {username}, until {cell(entry.expires_at)}.", err=True)
    for variable in TOKEN_VARIABLES:
        if os.environ.get(variable):
            click.echo(f"{variable} is set: commands use that token, not this one.", err=True)
