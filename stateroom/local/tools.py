"""`stateroom tools`: the versions of terraform and tofu in the tools folder of this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stateroom.groups import group
from stateroom.local import shared

if TYPE_CHECKING:
    from runner.tools.tool import Tool

_name = click.argument("name", metavar="terraform|tofu", type=click.Choice(("terraform", "tofu")))


def _folder(command: Callable[..., None]) -> Callable[..., None]:
    kind = click.Path(file_okay=False, path_type=Path)
    text = "The tools folder [STATEROOM_TOOLS_DIR; default DATA_DIR/tools]."
    return shared.data_dir(click.option("--tools-dir", type=kind, help=text)(command))


def _source(command: Callable[..., None]) -> Callable[..., None]:
    mirror = "Where the files come from instead of the publisher [STATEROOM_TOOLS_MIRROR]."
    key = "File with the public keys that count instead of the shipped one [STATEROOM_TOOLS_KEY]."
    kind = click.Path(dir_okay=False, path_type=Path)
    command = click.option("--key", "tools_key", type=kind, help=key)(command)
    return click.option("--mirror", "tools_mirror", metavar="URL", help=mirror)(command)


@group("tools")
def command() -> None:
    """Versions of terraform and tofu on this machine: list, install and remove them.

    Workers find a version in the tools folder at once, without a restart.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@_folder
def list_command(*, as_json: bool, **given: Any) -> None:
    """List the tools that a worker with this environment finds, in the order of the search."""
    from runner.tools import tool

    with shared.one_line():
        found = tool.available(shared.settings(**given).tools_path)
    if as_json:
        click.echo(json.dumps({"tools": [_row(one) for one in found]}))
        return
    for one in found:
        click.echo(f"{one.name:<10} {one.release!s:<16} {one.origin:<13} {one.argv[-1]}")
    if not found:
        click.echo("There is none: stateroom tools install terraform latest", err=True)


@command.command("install")
@_name
@click.argument("version", default="latest")
@_source
@_folder
def install_command(name: str, version: str, **given: Any) -> None:
    """Install a version: 1.11.4, the newest 1.11, '~> 1.9', or latest.

    It comes from its publisher (releases.hashicorp.com, github.com/opentofu/opentofu) or a mirror,
    through the proxy that HTTPS_PROXY names. Its checksum has to be signed with the publisher's
    key, which is shipped; otherwise nothing is installed.
    """
    from runner.tools import install, releases, tool

    with shared.one_line():
        settings = shared.settings(**given)
        program, is_new = install.install(
            releases.shop(name, settings.tools_mirror, settings.tools_key),  # type: ignore[arg-type]
            tool.wanted(version),
            settings.tools_path,
        )
    click.echo(program if is_new else f"{program} is there already")


@command.command("remove")
@_name
@click.argument("version")
@_folder
def remove_command(name: str, version: str, **given: Any) -> None:
    """Remove a version from the tools folder. Runs that are at work with it go on."""
    from runner.tools import constraints, install

    release = constraints.release(version)
    if release is None:
        raise shared.CommandRefused(f"{version!r} is not a version: write it like 1.11.4.")
    with shared.one_line():
        gone = install.remove(name, release, shared.settings(**given).tools_path)  # type: ignore[arg-type]
    click.echo(f"{gone} is removed")


def _row(found: Tool) -> dict[str, str]:
    return {
        "name": found.name,
        "version": str(found.release),
        "origin": found.origin,
        "program": found.argv[-1],
    }
