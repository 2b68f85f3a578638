from __future__ import annotations

import click

from client.api import Api, RequestRefused, path
from stateroom import credentials
from stateroom.options import SERVER, server_of


@click.command("logout")
@SERVER
def command(*, url: str | None) -> None:
    """End what `stateroom login` began: revoke the token, and forget it."""
    server = server_of(url)
    entry = credentials.forget(server)
    if entry is None:
        raise click.ClickException(f"You are not signed in at {server}.")
    if entry.token:
        _revoke(server, entry.token)
    click.echo(f"Signed out at {server}.", err=True)


def _revoke(server: str, token: str) -> None:
    """One that has ended already is as good as revoked."""
    try:
        with Api(server, token) as api:
            api.delete(path("tokens", api.get("/whoami")["token_id"]))
    except RequestRefused as refusal:
        if refusal.status != 401:
            raise RequestRefused(
                f"The token is forgotten here, but it is not revoked. {refusal.message}"
            ) from None
