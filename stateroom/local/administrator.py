"""`stateroom administrator`: for who has the machine, but no token any more."""

from __future__ import annotations

from typing import Any

import click

from stateroom.local import shared


@click.command("administrator")
@shared.data_dir
def command(**given: Any) -> None:
    """Issue a new administrator's token and print it, this once.

    For who has the machine, but no token any more: the first one is in no backup. The audit log
    has it. Revoke what is lost: `stateroom tokens revoke`.
    """
    from backend.people import tokens

    with shared.installation_at_hand(**given) as here, here.itself.transaction() as tx:
        _, secret = tokens.issue(tx, "administrator", ["admin"])
    click.echo(secret)
