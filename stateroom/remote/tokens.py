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
    """API credentials: shown once, with scopes and an expiry."""


@command.command("list")
@click.option("--mine", is_flag=True, help="Only your own.")
@maybe_in_project
@connected
@limited()
def list_tokens(api: Api, show: Show, *, where: str, mine: bool) -> None:
    """The tokens of a project; without one your own, or all for an administrator."""
    show.rows(api.items(f"{where}/tokens", mine="true" if mine else None), LIST)


@command.command("issue")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, required=True, help="What it may do; may be repeated."
)
@click.option("--expires-in-days", type=click.IntRange(1), help="Without it: never.")
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
    """Issue a token, for a project or all that you see, and print it: this once."""
    body = {"name": name, "scopes": list(scopes), "expires_in_days": expires_in_days}
    made = api.post(f"{where}/tokens", body)
    show.text(made, made["secret"])
    show.note(f"This is shown once. To end it: stateroom tokens revoke {made['id']}")


@command.command("show")
@argument("token_id")
@maybe_in_project
@connected
def show_token(api: Api, show: Show, *, where: str, token_id: str) -> None:
    """One token by its id: what it may do, and when it was used."""
    columns = LIST | {"project": "project_id", "made": "created_at"}
    show.item(api.get(where + path("tokens", token_id)), columns)


@command.command("revoke")
@argument("token_id")
@maybe_in_project
@connected
def revoke_token(api: Api, show: Show, *, where: str, token_id: str) -> None:
    """End a token now, by its id."""
    api.delete(where + path("tokens", token_id))
    show.note(f"The token {token_id} is revoked.")


@command.command("whoami")
@connected
def who_am_i(api: Api, show: Show) -> None:
    """Whose token this is, and what it may do."""
    show.item(
        api.get("/whoami"),
        {"name": "name", "token": "token_id", "project": "project_id", "scopes": "scopes"},
    )
