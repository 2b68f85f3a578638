from __future__ import annotations

import click

from client.api import Api, path
from stateroom.completing import argument
from stateroom.groups import group
from stateroom.options import connected, limited, maybe_in_project
from stateroom.tables import Show

LIST = {
    "id": "id",
    "name": "name",
    "scopes": "scopes",
    "made by": "created_by",
    "expires": "expires_at",
    "last used": "last_used_at",
    "revoked": "revoked_at",
}


@group("tokens")
def command() -> None:
    """API tokens: issue, list and revoke them."""


@command.command("list")
@click.option("--mine", is_flag=True, help="List only your own.")
@maybe_in_project
@connected
@limited()
def list_tokens(api: Api, show: Show, *, where: str, mine: bool) -> None:
    """List the tokens of a project. Without --project: your own, or all for an administrator."""
    show.rows(api.items(f"{where}/tokens", mine="true" if mine else None), LIST)


@command.command("issue")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    help="A permission of the token, for example state:read. Repeat it for more.",
)
@click.option("--expires-in-days", type=click.IntRange(1), help="When it expires. Default: never.")
@maybe_in_project
@connected
def issue_token(  # noqa: PLR0913 a token's fields
    api: Api,
    show: Show,
    *,
    where: str,
    name: str,
    scopes: tuple[str, ...],
    expires_in_days: int | None,
) -> None:
    """Issue a token for a project, or for all that you may see. It is printed only now."""
    body = {"name": name, "scopes": list(scopes), "expires_in_days": expires_in_days}
    made = api.post(f"{where}/tokens", body)
    show.text(made, made["secret"])
    show.note(f"This is shown once. To end it: stateroom tokens revoke {made['id']}")


@command.command("show")
@argument("token_id")
@maybe_in_project
@connected
def show_token(api: Api, show: Show, *, where: str, token_id: str) -> None:
    """Show a token: its scopes, and when it was last used."""
    columns = LIST | {"project": "project_id", "made": "created_at"}
    show.item(api.get(where + path("tokens", token_id)), columns)


@command.command("revoke")
@argument("token_id")
@maybe_in_project
@connected
def revoke_token(api: Api, show: Show, *, where: str, token_id: str) -> None:
    """Revoke a token: it is refused from now on."""
    api.delete(where + path("tokens", token_id))
    show.note(f"The token {token_id} is revoked.")


@command.command("whoami")
@connected
def who_am_i(api: Api, show: Show) -> None:
    """Show whose token you are using, and its scopes."""
    show.item(
        api.get("/whoami"),
        {"name": "name", "token": "token_id", "project": "project_id", "scopes": "scopes"},
    )
