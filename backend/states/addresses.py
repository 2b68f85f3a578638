"""The addresses of a state, and snippets that configure them in terraform and tofu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

USERNAME = "token"


@dataclass(frozen=True)
class Addresses:
    """The three addresses of a state. A client needs all of them, or it never locks or unlocks."""

    address: str
    lock_address: str
    unlock_address: str


@dataclass(frozen=True)
class Snippets:
    terraform: str
    tofu: str
    environment: str


def of_workspace(public_url: str, project: str, workspace: str) -> Addresses:
    """The address with the names of project and workspace. Renaming one of them changes it."""
    address = f"{public_url}/api/terraform/state/{quote(project)}/{quote(workspace)}"
    return Addresses(address, address, address)


def of_alias(public_url: str, alias: str) -> Addresses:
    """The address of an alias. Renaming project or workspace does not change it."""
    address = f"{public_url}/api/terraform/{alias}"
    return Addresses(address, address, address)


def snippets(addresses: Addresses) -> Snippets:
    """Snippets for a token. They contain no token: it belongs into TF_HTTP_PASSWORD."""
    line = "    # the password is your token: export TF_HTTP_PASSWORD\n"
    note = '# export TF_HTTP_PASSWORD="YOUR_TOKEN"\n'
    return _snippets(addresses, USERNAME, line, note, "YOUR_TOKEN")


def snippets_with_login(
    addresses: Addresses,
    username: str,
    password: str | None,
    commands: Sequence[str] = ("init",),
) -> Snippets:
    """Snippets with username and password; a placeholder stands for a password of None.

    `commands` are the terraform commands to show below the block.
    """
    shown = password or "YOUR_PASSWORD"
    line = (
        f"    password       = {_in_hcl(shown)}\n"
        "    # if others see this file: remove this line and export TF_HTTP_PASSWORD\n"
    )
    return _snippets(addresses, username, line, "", shown, commands)


def _snippets(  # noqa: PLR0913 what differs between a token and a login
    addresses: Addresses,
    username: str,
    password_line: str,
    note: str,
    password: str,
    commands: Sequence[str] = ("init",),
) -> Snippets:
    block = (
        "terraform {\n"
        '  backend "http" {\n'
        f"    address        = {_in_hcl(addresses.address)}\n"
        f"    lock_address   = {_in_hcl(addresses.lock_address)}\n"
        f"    unlock_address = {_in_hcl(addresses.unlock_address)}\n"
        f"    username       = {_in_hcl(username)}\n"
        f"{password_line}"
        "  }\n"
        "}\n"
    )
    exports = (
        f"export TF_HTTP_ADDRESS={_in_shell(addresses.address)}\n"
        f"export TF_HTTP_LOCK_ADDRESS={_in_shell(addresses.lock_address)}\n"
        f"export TF_HTTP_UNLOCK_ADDRESS={_in_shell(addresses.unlock_address)}\n"
        f"export TF_HTTP_USERNAME={_in_shell(username)}\n"
        f"export TF_HTTP_PASSWORD={_in_shell(password)}\n"
    )
    return Snippets(
        terraform=f"{block}\n{note}" + "".join(f"# terraform {c}\n" for c in commands),
        tofu=f"{block}\n{note}" + "".join(f"# tofu {c}\n" for c in commands),
        environment=f'# together with an empty terraform {{ backend "http" {{}} }}\n{exports}',
    )


def _in_hcl(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    # "$$${" would be a dollar and a template, so the first character is written as \u escape
    return '"' + escaped.replace("${", "\\u0024{").replace("%{", "\\u0025{") + '"'


def _in_shell(text: str) -> str:
    # single quotes: in double quotes an interactive shell would expand "!"
    return "'" + text.replace("'", "'\\''") + "'"
