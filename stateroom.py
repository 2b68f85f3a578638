"""The `stateroom` command. Imports are where they are needed, so that `--help` is instant."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import local_command
from local_command import Refused, data_dir, one_line

if TYPE_CHECKING:
    from flask import Flask

    from backend.config import Settings
    from backend.installation import Installation
    from runner.inspection import Finding
    from runner.job import ToolName

CLONE_SECONDS = 600.0

# What talks to a server: where it is, and what it is for, so that `--help` need not load it.
CLIENT = {
    "aliases": ("client.aliases:group", "Addresses of a state for laptops and other systems."),
    "audit": ("client.audit:group", "Who did what: every change, every reading of a state."),
    "doctor": ("client.doctor_command:command", "Examine a deployment, through every proxy."),
    "login": ("client.login:command", "Sign in, and print a token for the other commands."),
    "locks": ("client.locks:group", "Who holds a state now, and holding it by hand."),
    "members": ("client.members:group", "What each user is in a project."),
    "projects": ("client.projects:group", "What everything else belongs to, and its quotas."),
    "rescued": ("client.rescued:group", "Writes that were refused, and kept for a decision."),
    "runs": ("client.runs:group", "What is asked of terraform and tofu, and how far it is."),
    "states": ("client.states:group", "The versions of a state: pull, push, restore, pin."),
    "stored-keys": ("client.stored_keys:group", "What opens repositories: SSH keys, logins."),
    "templates": ("client.templates:group", "What is run: repository, branch, folder, tool."),
    "tokens": ("client.tokens:group", "API credentials: shown once, with scopes and an expiry."),
    "users": ("client.users:group", "People, who sign in with a name and a password."),
    "variables": ("client.variables:group", "What a workspace gives to terraform."),
    "workspaces": ("client.workspaces:group", "States, and what runs on them."),
}

# What is for operators alone, and loaded when it is used.
LOCAL = {
    "backup": ("backup_command:backup_command", "Copy an installation, while it runs."),
    "decrypt": ("backup_command:decrypt_command", "Get the states out of a backup."),
    "administrator": ("backup_command:administrator_command", "Issue an administrator's token."),
    "keys": ("keys_command:group", "The keys that everything is sealed with."),
}


class Commands(click.Group):
    """The server's commands, and the client's, which are loaded when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *LOCAL, *CLIENT])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        lazy = LOCAL | CLIENT
        if cmd_name not in lazy:
            return super().get_command(ctx, cmd_name)
        from importlib import import_module

        module, _, name = lazy[cmd_name][0].partition(":")
        found: click.Command = getattr(import_module(module), name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 click's
        own = {name: command.get_short_help_str(80) for name, command in self.commands.items()}
        own |= {name: text for name, (_, text) in LOCAL.items()}
        client = {name: text for name, (_, text) in CLIENT.items()}
        for title, texts in (("On this machine", own), ("Of a server", client)):
            with formatter.section(title):
                formatter.write_dl(sorted(texts.items()))


def _address(command: Callable[..., None]) -> Callable[..., None]:
    host = "Address to listen on [STATEROOM_HOST; default 127.0.0.1]."
    port = "Port to listen on, 0 for a free one [STATEROOM_PORT; default 8420]."
    command = click.option("--port", type=int, help=port)(command)
    return click.option("--host", help=host)(command)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(
    package_name="stateroom", prog_name="stateroom", message="%(prog)s %(version)s"
)
def main() -> None:
    """Stateroom runs Terraform and OpenTofu for teams and keeps their state.

    Every command reads its settings from the environment, STATEROOM_NAME, or from a file,
    STATEROOM_NAME_FILE. docs/operations.md has the table.
    """


@main.command("up")
@data_dir
@_address
def up_command(**given: Any) -> None:
    """Run the server and a worker on this machine, until Ctrl-C."""
    import up
    from backend import config, installation
    from backend.web import serve

    with one_line():
        settings = local_command.settings(**given)
        _check_work_dir(settings)
        listener = serve.listen(settings)
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        had_token = settings.admin_token_path.exists()
        installation.prepare(settings).database.close()
    token = None if had_token else _token(settings)
    variables = config.variables(os.environ) | {
        "STATEROOM_DATA_DIR": str(settings.data_dir.absolute()),
        "STATEROOM_HOST": settings.host,
        "STATEROOM_PORT": str(settings.port),
    }
    # every signal of the stop ladder, the last write, and a little
    grace = 2 * settings.stop_grace_seconds + 30.0
    sys.exit(up.run(variables, listener.fileno(), grace, lambda: _welcome(settings, token)))


@main.command("server")
@data_dir
@_address
@click.option("--listen-fd", type=int, hidden=True)
@click.option("--until-end-of-input", is_flag=True, hidden=True)
def server_command(*, listen_fd: int | None, until_end_of_input: bool, **given: Any) -> None:
    """Run the server: the API, the state backend and the pages."""
    from gevent import monkey

    monkey.patch_all()  # before anything imports socket, ssl or psycopg

    import up

    up.let_signals_in()

    import socket

    from app import create_app
    from backend import installation
    from backend.linker import Linker
    from backend.reconciler import Reconciler
    from backend.rotation import Rotation
    from backend.web import current, serve

    def application() -> Flask:
        app = create_app(settings)
        here: Installation = app.extensions[current.EXTENSION]
        # without it a run would be at work for ever once the last worker is dead
        Reconciler(here.database, here.bell, here.blobs, settings).start()
        Linker(here.database, here.keyring).start()
        Rotation(here.database, here.keyring, settings.poll_seconds).start()
        return app

    with one_line():
        settings = local_command.settings(**given)
        listener = socket.socket(fileno=listen_fd) if listen_fd else serve.listen(settings)
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        installation.prepare(settings).database.close()
    if until_end_of_input:
        serve.stop_at_end_of_input()
    else:
        _welcome(settings, None)
    serve.serve(settings, application, listener)


@main.command("worker")
@data_dir
def worker_command(**given: Any) -> None:
    """Run a worker: it claims queued runs and executes them."""
    import up

    up.let_signals_in()
    import worker

    with one_line():
        settings = local_command.settings(**given)
        _check_work_dir(settings)
        worker.main(settings)


@main.command("migrate")
@data_dir
def migrate_command(**given: Any) -> None:
    """Bring the database to this version's schema. `up` and `server` do it on their own."""
    from backend import migrations
    from backend.db import Database

    with one_line():
        settings = local_command.settings(**given)
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = Database(settings)
        migrations.upgrade(database.engine)
        database.close()
    click.echo("The database has this version's schema.")


@main.command("inspect")
@click.argument("places", metavar="PATH-OR-URL...", nargs=-1, required=True)
@click.option(
    "--tool",
    type=click.Choice(["terraform", "tofu"]),
    default="terraform",
    show_default=True,
    help="They read different files.",
)
@click.option("-r", "--recursive", is_flag=True, help="Every folder below that has configuration.")
@click.option("--json", "as_lines", is_flag=True, help="One JSON object a line.")
def inspect_command(
    *, places: tuple[str, ...], tool: ToolName, recursive: bool, as_lines: bool
) -> None:
    """Say where configurations keep their state, and what a run would inject.

    A URL is cloned first. Exit status: 0 every folder can run in backend mode auto, 1 some cannot,
    2 some could not be looked at.
    """
    from runner import inspection

    status = 0
    for place in places:
        for finding in _look(place, tool, recursive=recursive):
            row = inspection.as_json(finding)
            click.echo(json.dumps(row) if as_lines else inspection.as_text(finding))
            status = max(status, finding.exit_status)
    sys.exit(status)


def _look(place: str, tool: ToolName, *, recursive: bool) -> Iterator[Finding]:
    from runner.errors import DetectionError, RunnerError
    from runner.inspection import Finding, inspect_many, modules_under

    try:
        with _sources(place) as root:
            for finding in inspect_many(modules_under(root) if recursive else [root], tool):
                below = finding.path.relative_to(root) if _is_url(place) else None
                yield finding if below is None else replace(finding, name=f"{place}//{below}")
    except RunnerError as error:
        refusal = DetectionError(error.code, error.message)
        yield Finding(Path(place), tool, error=refusal, name=place)


def _is_url(place: str) -> bool:
    return "://" in place or (":" in place and not Path(place).exists())


@contextmanager
def _sources(place: str) -> Iterator[Path]:
    """The folder at a path, or a fresh clone of a URL. Raises SourceError."""
    if not _is_url(place):
        yield Path(place)
        return
    from tempfile import TemporaryDirectory

    from runner import source
    from runner.job import Source, SourcePolicy

    # whoever types the address may go there: no server is asked to
    anywhere = SourcePolicy((Path("/"),), private_hosts=True, plain_http=True)
    with TemporaryDirectory(prefix="stateroom-") as folder:
        work = Path(folder)
        job = Source(place, policy=anywhere)
        yield source.clone(job, work / "source", work=work, deadline=CLONE_SECONDS).folder


def _check_work_dir(settings: Settings) -> None:
    """Say now what every run would fail of."""
    from backend.models import new_id
    from runner import workdir
    from runner.errors import RunnerError

    try:
        workdir.check_root(settings.work_dir, new_id("run"), 999)
    except RunnerError as error:
        raise Refused(f"STATEROOM_DATA_DIR: {error.message}") from None


def _welcome(settings: Settings, token: str | None) -> None:
    click.echo(f"Stateroom is at {settings.public_url}")
    if token:
        click.echo(f"The administrator's token, shown once: {token}")
    if settings.admin_token_path.exists():
        click.echo(f"The administrator's token is kept in {settings.admin_token_path}")


def _token(settings: Settings) -> str | None:
    """The administrator's token; None when somebody has taken its file away, as one should."""
    path = settings.admin_token_path
    return path.read_text(encoding="utf-8").strip() if path.exists() else None


if __name__ == "__main__":
    main(prog_name="stateroom")
