"""`stateroom administrator`: for who has the machine, but no token any more."""

from __future__ import annotations

from typing import Any

import click

from stateroom.local import shared


@click.command("administrator")
@shared.data_dir
def command(**given: Any) -> None:
    """Issue a new administrator's token and print it. It is shown only now.

    For an operator of the machine who has no token any more: backups do not have the first one. The
    audit log records it. Revoke a lost token with `stateroom tokens revoke`.
    """
    from backend.people import tokens

    with shared.installation_at_hand(**given) as here, here.itself.transaction() as tx:
        _, secret = tokens.issue(tx, "administrator", ["admin"])
    click.echo(secret)
