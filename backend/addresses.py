"""Where a workspace's state is, and what to paste to get there."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

PLACEHOLDER = "YOUR_TOKEN"
USERNAME = "token"


@dataclass(frozen=True)
class Addresses:
    """All three are always given: with one of them missing, terraform locks for ever, or never."""

    address: str
    lock_address: str
    unlock_address: str


@dataclass(frozen=True)
class Snippets:
    terraform: str
    tofu: str
    environment: str


def of_workspace(public_url: str, project: str, workspace: str) -> Addresses:
    """By the names of both. Renaming either one changes it."""
    address = f"{public_url}/api/terraform/state/{quote(project)}/{quote(workspace)}"
    return Addresses(address, address, address)


def snippets(addresses: Addresses) -> Snippets:
    """Ready to paste; the token stays out of files: it belongs into TF_HTTP_PASSWORD."""
    block = (
        "terraform {\n"
        '  backend "http" {\n'
        f'    address        = "{addresses.address}"\n'
        f'    lock_address   = "{addresses.lock_address}"\n'
        f'    unlock_address = "{addresses.unlock_address}"\n'
        f'    username       = "{USERNAME}"\n'
        "    # the password is your token: export TF_HTTP_PASSWORD\n"
        "  }\n"
        "}\n"
    )
    exports = (
        f'export TF_HTTP_ADDRESS="{addresses.address}"\n'
        f'export TF_HTTP_LOCK_ADDRESS="{addresses.lock_address}"\n'
        f'export TF_HTTP_UNLOCK_ADDRESS="{addresses.unlock_address}"\n'
        f'export TF_HTTP_USERNAME="{USERNAME}"\n'
        f'export TF_HTTP_PASSWORD="{PLACEHOLDER}"\n'
    )
    password = f'export TF_HTTP_PASSWORD="{PLACEHOLDER}"\n'
    return Snippets(
        terraform=f"{block}\n# {password}# terraform init\n",
        tofu=f"{block}\n# {password}# tofu init\n",
        environment=f'# beside an empty terraform {{ backend "http" {{}} }}\n{exports}',
    )
