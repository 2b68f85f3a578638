"""What every command of the client takes: which server, whose token, and how to answer."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from client.api import Api, RequestRefused, path
from stateroom import credentials
from stateroom.completing import argument, names
from stateroom.credentials import Entry
from stateroom.ids import CompletingApi
from stateroom.tables import Json, Plain, Show, cell
from stateroom.terminal import Terminal

URL = "http://127.0.0.1:8420"
DATA_DIR = "stateroom-data"
WIDTH = 100  # of a terminal that does not say how wide it is
TOKEN_VARIABLES = ("STATEROOM_TOKEN_FILE", "STATEROOM_TOKEN")
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_NOTHING = object()

Command = Callable[..., None]

_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


def connected(command: Command) -> Command:
    """Give the command an Api and a Show as its first two arguments.

    The token comes from the environment, from what `login` has kept, or from a file; never from
    the command line, which others see.
    """

    @functools.wraps(command)
    def with_api(
        *, url: str | None, token_file: Path | None, data_dir: Path | None, show: Show, **given: Any
    ) -> None:
        server = server_of(url or (URL if data_dir else None))
        try:
            with CompletingApi(server, token_from(server, token_file, data_dir)) as api:
                command(api, show, **given)
        except RequestRefused as refusal:
            # its traceback would keep the connection open for as long as somebody remembers it
            raise refusal.with_traceback(None) from None

    for option in (_JSON, DATA_DIR_OPTION, TOKEN_FILE, SERVER):
        with_api = option(with_api)
    return with_api


def in_project(command: Command) -> Command:
    """Give the command `project`: the API's path of the project that is named."""
    option = click.option(
        "-p", "--project", required=True, envvar="STATEROOM_PROJECT", callback=_project,
        shell_complete=names("projects"),
        help="The project's name or id [STATEROOM_PROJECT].",
    )  # fmt: skip
    return option(command)


def maybe_in_project(command: Command) -> Command:
    """Give the command `where`: the API's path of the project that is named, or nothing."""
    option = click.option(
        "-p", "--project", "where", default="", callback=_maybe_project,
        shell_complete=names("projects"),
        help="Of this project; without it, of the whole installation.",
    )  # fmt: skip
    return option(command)


def in_workspace(command: Command) -> Command:
    """Give the command `workspace`: the API's path of the workspace that is named."""

    @functools.wraps(command)
    def with_workspace(*, project: str, workspace: str, **given: Any) -> None:
        command(workspace=project + path("workspaces", workspace), **given)

    option = click.option(
        "-w", "--workspace", required=True, envvar="STATEROOM_WORKSPACE",
        shell_complete=names("workspaces"),
        help="The workspace's name or id [STATEROOM_WORKSPACE].",
    )  # fmt: skip
    return in_project(option(with_workspace))


def in_workspace_or_set(command: Command) -> Command:
    """Give the command `owner`: the API's path of the workspace, or of the variable set."""

    @functools.wraps(command)
    def with_owner(
        *, project: str, workspace: str | None, variable_set: str | None, **given: Any
    ) -> None:
        if variable_set is not None:
            owner = project + path("variable-sets", variable_set)
        elif workspace is not None:
            owner = project + path("workspaces", workspace)
        else:
            raise click.UsageError("Name a workspace (--workspace) or a variable set (--set).")
        command(owner=owner, **given)

    of_workspace = click.option(
        "-w", "--workspace", envvar="STATEROOM_WORKSPACE", shell_complete=names("workspaces"),
        help="The workspace's name or id [STATEROOM_WORKSPACE].",
    )  # fmt: skip
    of_set = click.option(
        "--set", "variable_set", shell_complete=names("variable-sets"),
        help="A variable set's name or id, instead of a workspace.",
    )  # fmt: skip
    return in_project(of_workspace(of_set(with_owner)))


def of_workspace(command: Command) -> Command:
    """Give the command `workspace`, as `in_workspace` does; here it is the first argument."""

    @functools.wraps(command)
    def with_workspace(*, project: str, workspace: str, **given: Any) -> None:
        command(workspace=project + path("workspaces", workspace), **given)

    return in_project(argument("workspace")(with_workspace))


def limited(most: int | None = None) -> Callable[[Command], Command]:
    """Let the user say how many items of a list are shown; `most` is the default, None is all."""
    option = click.option(
        "--limit", type=click.IntRange(1), default=most,
        help=f"Show at most so many. Default: {most or 'all'}.",
    )  # fmt: skip

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_limit(api: Api, show: Show, *, limit: int | None, **given: Any) -> None:
            show.most = limit
            if limit is not None:
                api.page = min(api.page, limit + 1)
            command(api, show, **given)

        return option(with_limit)

    return decorate


def snippet_for(command: Command) -> Command:
    """Give the command `tool`: which of the API's snippets to print."""
    option = click.option(
        "--for", "tool", type=click.Choice(("terraform", "tofu", "environment")),
        default="terraform", show_default=True,
        help="Print a snippet for this tool, or with environment the same as TF_HTTP_… exports.",
    )  # fmt: skip
    return option(command)


class OrNone(click.ParamType[object]):
    """A value of another type, or `none` to take one away; see `changes`."""

    def __init__(self, inner: click.ParamType[Any], name: str) -> None:
        self.name = f"{name}|none"
        self._inner = inner

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        return _NOTHING if value == "none" else self._inner.convert(value, param, ctx)


NUMBER_OR_NONE = OrNone(click.INT, "number")
TEXT_OR_NONE = OrNone(click.STRING, "text")


def listed(
    _context: click.Context, _option: click.Parameter, found: tuple[str, ...]
) -> list[str] | None:
    """The names, no names for `none`, and None when the option was not used."""
    return [name for name in found if name != "none"] if found else None


def changes(given: dict[str, Any]) -> dict[str, object]:
    """What a PATCH sends of these options: those that were used. Raises UsageError for none."""
    used = {name: value for name, value in given.items() if value is not None}
    if not used:
        raise click.UsageError("Say what to change.")
    return {name: None if value is _NOTHING else value for name, value in used.items()}


def _maybe_project(_context: click.Context, _option: click.Parameter, name: str) -> str:
    return path("projects", name) if name else ""


def _project(_context: click.Context, _option: click.Parameter, name: str) -> str:
    return path("projects", name) if name else ""  # none while a shell completes the line


def _answer(_context: click.Context, _option: click.Parameter, as_json: bool) -> Show:  # noqa: FBT001 click's
    if as_json:
        return Json()
    if not sys.stdout.isatty():
        return Plain()
    return Terminal(shutil.get_terminal_size((WIDTH, 24)).columns, datetime.now(UTC))


SERVER = click.option(
    "--url", envvar="STATEROOM_URL",
    help=f"The server [STATEROOM_URL; default: where you are signed in, or {URL}].",
)  # fmt: skip
TOKEN_FILE = click.option(
    "--token-file", type=_FILE, help="A token's file [STATEROOM_TOKEN, or STATEROOM_TOKEN_FILE]."
)
DATA_DIR_OPTION = click.option(
    "--data-dir", type=_FOLDER,
    help="On the server's machine: the folder with the administrator's token [STATEROOM_DATA_DIR].",
)  # fmt: skip
_JSON = click.option(
    "--json", "show", is_flag=True, callback=_answer, help="One JSON object a line."
)


def checked_url(url: str) -> str:
    """Without a slash at its end. Raises UsageError for what is no URL of a server."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise click.UsageError("The URL must begin with https:// (or http://) and name a host.")
    if parts.username is not None:
        raise click.UsageError("No credentials in the URL: others see a command's arguments.")
    return url.rstrip("/")


def server_of(url: str | None) -> str:
    """The server that is named, else the one that `login` or `up` has remembered.

    Raises UsageError.
    """
    return checked_url(url or credentials.read().current or URL)


def token_from(server: str, file: Path | None, data_dir: Path | None) -> str:
    """The nearest one: an option's, the environment's, the remembered one, the administrator's.

    Raises UsageError.
    """
    if file is None and data_dir is None:
        if named := os.environ.get("STATEROOM_TOKEN_FILE"):
            file = Path(named)
        elif token := os.environ.get("STATEROOM_TOKEN", "").strip():
            return token
        elif entry := credentials.read().servers.get(server):
            return _remembered(server, entry)
    return secret_in(file) if file else secret_in(_admin_token(server, data_dir), f"{_HINT} ")


_HINT = (
    "Sign in with stateroom login, or set STATEROOM_TOKEN, or name a file: STATEROOM_TOKEN_FILE."
)


def _remembered(server: str, entry: Entry) -> str:
    """Raises UsageError, for one that has ended too."""
    if entry.token_file:
        return secret_in(Path(entry.token_file), f"{_HINT} ")
    if entry.expires_at and datetime.fromisoformat(entry.expires_at) <= datetime.now(UTC):
        raise click.UsageError(
            f"You were signed in at {server} until {cell(entry.expires_at)}: stateroom login"
        )
    return entry.token


def secret_in(file: Path, hint: str = "") -> str:
    """What is in a file, for one secret alone. Raises UsageError, with the hint in it."""
    try:
        found = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{hint}{file} cannot be read: {error}") from None
    if not found:
        raise click.UsageError(f"{file} is empty: it should have a secret.")
    return found


def _admin_token(server: str, data_dir: Path | None) -> Path:
    """The file of a server on this machine. Raises UsageError.

    A folder that nobody named is for a server on this machine: no other one is sent its token.
    """
    named = data_dir or os.environ.get("STATEROOM_DATA_DIR")
    if not named and urlsplit(server).hostname not in _LOOPBACK:
        raise click.UsageError(f"There is no token for {server}. {_HINT}")
    return Path(named or DATA_DIR) / "admin-token"


variable_files = click.option(
    "--variable-file",
    "variable_files",
    metavar="PATH",
    multiple=True,
    callback=listed,
    help="A file of the repository with variables, relative to the template's folder: "
    "envs/prod.tfvars. May be given several times, a later one wins; it replaces earlier ones; "
    "none: take all away.",
)
backend_config_files = click.option(
    "--backend-config-file",
    "backend_config_files",
    metavar="PATH",
    multiple=True,
    callback=listed,
    help="A file of the repository that completes the backend block of the sources. May be given "
    "several times; none: take all away.",
)
