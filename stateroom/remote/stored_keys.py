from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from client.api import Api, path
from stateroom import passwords, secret_files
from stateroom.completing import argument
from stateroom.groups import group
from stateroom.options import connected, in_project, limited
from stateroom.tables import Columns, Show

LIST: Columns = {
    "name": "name",
    "kind": "kind",
    "username": "username",
    "fingerprint": "fingerprint",
    "fault": "fault.code",
    "id": "id",
    "made": "created_at",
}
_SECRET = (
    secret_files.option(
        "--private-key-file",
        "Read the SSH key from this file, in OpenSSH or PEM format (- for standard input).",
    ),
    secret_files.option("--passphrase-file", "Read the passphrase of the SSH key from this file."),
    click.option(
        "--username", help="The username for https. The password, or an access token, is asked for."
    ),
    passwords.FILE,
)


def _with_a_secret(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_SECRET):
        command = option(command)
    return command


@group("stored-keys")
def command() -> None:
    """Keys that open repositories: SSH keys, and usernames with passwords."""


@command.command("list")
@in_project
@connected
@limited()
def list_keys(api: Api, show: Show, *, project: str) -> None:
    """List the stored keys of a project, without their secrets."""
    show.rows(api.items(f"{project}/keys"), LIST)


@command.command("add")
@click.argument("name")
@_with_a_secret
@click.option("--generate", is_flag=True, help="Have the server make a new SSH key.")
@in_project
@connected
def add_key(api: Api, show: Show, *, project: str, name: str, generate: bool, **given: Any) -> None:
    """Store an SSH key, or a username with a password. No secret is shown again."""
    if generate and any(value is not None for value in given.values()):
        raise click.UsageError("Use --generate without a secret: the server makes it.")
    if not generate and given["private_key_file"] is None and given["username"] is None:
        raise click.UsageError(
            "Say what opens the repository: --private-key-file, --generate, or --username."
        )
    secret = {"generate": True} if generate else _secret(**given)
    kind = "ssh" if generate or "private_key" in secret else "password"
    made = api.post(f"{project}/keys", {"name": name, "kind": kind, **secret})
    show.item(made, LIST, _public(made))


@command.command("show")
@argument("key")
@in_project
@connected
def show_key(api: Api, show: Show, *, project: str, key: str) -> None:
    """Show a stored key, with the public key to give to the git server."""
    found = api.get(project + path("keys", key))
    show.item(found, LIST, _public(found))


@command.command("rename")
@argument("key")
@click.argument("name")
@in_project
@connected
def rename_key(api: Api, show: Show, *, project: str, key: str, name: str) -> None:
    """Rename a stored key."""
    show.item(api.patch(project + path("keys", key), {"name": name}), LIST)


@command.command("replace")
@argument("key")
@_with_a_secret
@in_project
@connected
def replace_key(api: Api, show: Show, *, project: str, key: str, **given: Any) -> None:
    """Replace the secret of a stored key with another one of the same kind."""
    found = api.patch(project + path("keys", key), _secret(**given))
    show.item(found, LIST, _public(found))


@command.command("delete")
@argument("key")
@in_project
@connected
def delete_key(api: Api, show: Show, *, project: str, key: str) -> None:
    """Delete a stored key. It is refused while something uses the key."""
    api.delete(project + path("keys", key))
    show.note(f"The stored key {key} is deleted.")


def _secret(
    *,
    private_key_file: Path | None,
    passphrase_file: Path | None,
    username: str | None,
    password_file: Path | None,
) -> dict[str, object]:
    """What the API takes of it. Raises UsageError."""
    if private_key_file is None:
        if passphrase_file is not None:
            raise click.UsageError("A passphrase belongs to an SSH key: --private-key-file.")
        named = {} if username is None else {"username": username}
        return {**named, "password": passwords.chosen(password_file)}
    if username is not None or password_file is not None:
        raise click.UsageError("Give an SSH key, or a username and a password.")
    secret: dict[str, object] = {"private_key": secret_files.read(private_key_file)}
    if passphrase_file is not None:
        secret["passphrase"] = secret_files.read(passphrase_file)
    return secret


def _public(key: dict[str, Any]) -> str:
    return str(key["public_key"] or "").rstrip("\n")
