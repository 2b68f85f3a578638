"""The host keys of a project: what its runs know ssh servers by."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from client import host_keys
from client.api import Api
from client.host_keys import HostKey, NoHostKey, Place
from client.text import printable
from stateroom import secret_files
from stateroom.options import connected, in_project, limited
from stateroom.tables import Show

LIST = {"host": "hosts", "type": "type", "fingerprint": "fingerprint", "marker": "marker"}


class _Host(click.ParamType[Place]):
    name = "host"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Place:
        if isinstance(value, Place):
            return value
        try:
            return host_keys.place(str(value))
        except NoHostKey as error:
            self.fail(str(error), param, ctx)


HOST = _Host()


@click.group("host-keys")
def command() -> None:
    """The host keys that a project's runs know ssh servers by.

    Those of github.com, gitlab.com, bitbucket.org and ssh.dev.azure.com are known to every
    project. For a host that a project has keys of, only these count.
    """


@command.command("list")
@in_project
@connected
@limited()
def list_host_keys(api: Api, show: Show, *, project: str) -> None:
    """List the host keys of a project, with their fingerprints."""
    show.rows(map(_item, _keys(_known(api, project))), LIST)


@command.command("add")
@click.argument("hosts", nargs=-1, type=HOST, metavar="[HOST[:PORT]]...")
@secret_files.option(
    "--known-hosts-file", "Its lines, as in ~/.ssh/known_hosts (- for standard input).",
    required=True,
)  # fmt: skip
@in_project
@connected
def add_host_keys(
    api: Api, show: Show, *, project: str, hosts: Sequence[Place], known_hosts_file: Path
) -> None:
    """Add the keys of a known_hosts file: all, or those of some hosts."""
    given = _keys(secret_files.read(known_hosts_file))
    chosen = [key for host in hosts for key in _of(host, given, known_hosts_file)]
    _add(api, show, project, chosen if hosts else given)


@command.command("scan")
@click.argument("host", type=HOST, metavar="HOST[:PORT]")
@click.option(
    "--fingerprint", "expected", multiple=True, metavar="SHA256:…",
    help="Add the key with this fingerprint, and no other; may be repeated.",
)  # fmt: skip
@click.option("-y", "--yes", is_flag=True, help="Add what is shown, without asking.")
@in_project
@connected
def scan_host(api: Api, show: Show, *, project: str, host: Place, **check: Any) -> None:
    """Ask a server for its host keys, and add them after a yes.

    The server is asked from this machine, by ssh-keyscan. Whoever is in between could answer in
    its place: compare the fingerprints that are shown with those that its owner publishes.
    """
    known = [key for key in _keys(_known(api, project)) if key.is_of(host.name)]
    found = [key for key in _scanned(host) if key.key not in {k.key for k in known}]
    if not found:
        show.note(f"The project knows the keys of {host} already.")
        return
    _refuse_other_keys(host, found, known)
    _add(api, show, project, _chosen(host, found, **check))


@command.command("remove")
@click.argument("host", type=HOST, metavar="HOST[:PORT]")
@in_project
@connected
def remove_host_keys(api: Api, show: Show, *, project: str, host: Place) -> None:
    """Remove a host's keys from a project."""
    lines, gone = [], 0
    for line in _known(api, project).splitlines():
        key = _key(line)
        if key is not None and key.is_of(host.name):
            gone += 1
            rest = key.without(host.name)
            line = "" if rest is None else rest.line  # noqa: PLW2901 what is left of it
        if line:
            lines.append(line)
    if not gone:
        raise click.ClickException(f"The project has no key of {host} of its own.")
    api.patch(project, {"known_hosts": "".join(f"{line}\n" for line in lines)})
    show.note(f"The project no longer has a key of {host} of its own ({gone} removed).")


def _known(api: Api, project: str) -> str:
    """The project's own lines."""
    return str(api.get(project)["known_hosts"])


def _keys(text: str) -> list[HostKey]:
    try:
        return list(host_keys.every(text))
    except NoHostKey as error:
        raise click.ClickException(str(error)) from None


def _key(line: str) -> HostKey | None:
    return next(iter(_keys(line)), None)


def _scanned(host: Place) -> list[HostKey]:
    try:
        return host_keys.scan(host)
    except NoHostKey as error:
        raise click.ClickException(str(error)) from None


def _of(host: Place, keys: Sequence[HostKey], file: Path) -> list[HostKey]:
    """The keys of one host, under its name where a file has hashed it."""
    found = [replace(key, hosts=host.name) for key in keys if key.is_of(host.name)]
    if not found:
        raise click.ClickException(f"{file} has no key of {host}.")
    return found


def _refuse_other_keys(host: Place, found: Sequence[HostKey], known: Sequence[HostKey]) -> None:
    """A key that took another one's place is not added beside it."""
    kinds = {key.kind for key in found}
    for other in known:
        if other.kind in kinds and not other.marker:
            raise click.ClickException(
                f"The project knows {host} by another key ({other.kind} {other.fingerprint}). Ask "
                "who runs the host. If its key has changed, first: "
                f"stateroom projects host-keys remove {host}"
            )


def _chosen(
    host: Place, found: Sequence[HostKey], expected: Sequence[str], *, yes: bool
) -> Sequence[HostKey]:
    """What is to be added. Raises UsageError where nobody can be asked, Abort for a no."""
    shown = "\n".join(f"  {printable(key.kind)} {key.fingerprint}" for key in found)
    if expected:
        wanted = {"SHA256:" + text.removeprefix("SHA256:") for text in expected}
        chosen = [key for key in found if key.fingerprint in wanted]
        if not chosen:
            raise click.ClickException(f"{host} shows no such key, but:\n{shown}")
        return chosen
    click.echo(f"{host} shows:\n{shown}", err=True)
    if yes:
        return found
    if not sys.stdin.isatty():
        raise click.UsageError(
            "Compare them with what the host's owner publishes, then say so: "
            "--fingerprint SHA256:…, or --yes."
        )
    question = "Are they what the host's owner publishes? Then they are added."
    click.confirm(question, abort=True, err=True)
    return found


def _add(api: Api, show: Show, project: str, keys: Sequence[HostKey]) -> None:
    """Add the keys that are not there yet, and show them."""
    known = _known(api, project)
    lines = [line for line in known.splitlines() if line]
    had = {key.line for key in _keys(known)}
    added = [key for key in keys if key.line not in had]
    if added:
        text = "".join(f"{line}\n" for line in [*lines, *(key.line for key in added)])
        api.patch(project, {"known_hosts": text})
    show.rows(map(_item, added), LIST)


def _item(key: HostKey) -> dict[str, object]:
    return {
        "hosts": key.hosts,
        "type": key.kind,
        "fingerprint": key.fingerprint,
        "marker": key.marker,
        "line": key.line,
    }
