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
        "--private-key-file", "An SSH key, in OpenSSH's or PEM form (- for standard input)."
    ),
    secret_files.option("--passphrase-file", "The passphrase of the SSH key."),
    click.option("--username", help="For https: with a password, or an access token as one."),
    passwords.FILE,
)


def _with_a_secret(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_SECRET):
        command = option(command)
    return command


@group("stored-keys")
def command() -> None:
    """What opens repositories: SSH keys, names with passwords. No secret is shown again."""


@command.command("list")
@in_project
@connected
@limited()
def list_keys(api: Api, show: Show, *, project: str) -> None:
    """The stored keys of a project."""
    show.rows(api.items(f"{project}/keys"), LIST)


@command.command("add")
@click.argument("name")
@_with_a_secret
@in_project
@connected
def add_key(api: Api, show: Show, *, project: str, name: str, **given: Any) -> None:
    """Store an SSH key, or a username with a password, which is asked for."""
    if given["private_key_file"] is None and given["username"] is None:
        raise click.UsageError("Say what opens the repository: --private-key-file, or --username.")
    secret = _secret(**given)
    kind = "ssh" if "private_key" in secret else "password"
    made = api.post(f"{project}/keys", {"name": name, "kind": kind, **secret})
    show.item(made, LIST, _public(made))


@command.command("show")
@argument("key")
@in_project
@connected
def show_key(api: Api, show: Show, *, project: str, key: str) -> None:
    """One stored key, with the public key that the git server is given."""
    found = api.get(project + path("keys", key))
    show.item(found, LIST, _public(found))


@command.command("rename")
@argument("key")
@click.argument("name")
@in_project
@connected
def rename_key(api: Api, show: Show, *, project: str, key: str, name: str) -> None:
    """Give a stored key another name."""
    show.item(api.patch(project + path("keys", key), {"name": name}), LIST)


@command.command("replace")
@argument("key")
@_with_a_secret
@in_project
@connected
def replace_key(api: Api, show: Show, *, project: str, key: str, **given: Any) -> None:
    """Replace the secret of a stored key by another one of its kind."""
    found = api.patch(project + path("keys", key), _secret(**given))
    show.item(found, LIST, _public(found))


@command.command("delete")
@argument("key")
@in_project
@connected
def delete_key(api: Api, show: Show, *, project: str, key: str) -> None:
    """Delete a stored key that nothing uses."""
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
