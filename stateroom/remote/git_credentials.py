from __future__ import annotations

import click

from client.api import Api, path
from stateroom.completing import names
from stateroom.groups import group
from stateroom.options import connected, in_project, limited
from stateroom.tables import Columns, Show

LIST: Columns = {
    "prefix": "prefix",
    "key": "key.name",
    "workspace": "workspace.name",
    "id": "id",
    "made": "created_at",
}


@group("git-credentials")
def command() -> None:
    """Stored keys for the repositories that modules and submodules come from."""


@command.command("list")
@in_project
@connected
@limited()
def list_git_credentials(api: Api, show: Show, *, project: str) -> None:
    """List which stored key opens which repositories."""
    show.rows(api.items(f"{project}/git-credentials"), LIST)


@command.command("add")
@click.argument("prefix")
@click.option(
    "--key", required=True, shell_complete=names("keys"), help="The stored key that opens them."
)
@click.option(
    "-w", "--workspace", shell_complete=names("workspaces"),
    help="Only for the runs of this workspace. Default: for all of the project.",
)  # fmt: skip
@in_project
@connected
def add_git_credential(api: Api, show: Show, *, project: str, **given: str | None) -> None:
    """Let runs open the repositories below PREFIX (HOST, HOST:PORT or HOST/PATH) with a key.

    The longest prefix wins. A template's own repository is opened by the template's key alone.
    """
    show.item(api.post(f"{project}/git-credentials", given), LIST)


@command.command("remove")
@click.argument("credential")
@in_project
@connected
def remove_git_credential(api: Api, show: Show, *, project: str, credential: str) -> None:
    """Remove a git credential, by its id. Its key stays."""
    api.delete(project + path("git-credentials", credential))
    show.note(f"The git credential {credential} is removed.")
