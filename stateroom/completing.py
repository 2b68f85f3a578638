"""Names for the completion of the shell, from the server: at once, or none at all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any

import click
from click.shell_completion import CompletionItem

from client.api import Api, path

Suggest = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]

SECONDS = (1.0, 2.0)  # to connect; without a byte
MOST_IDS = 100  # the newest ones of a list
MOST_NAMES = 1000  # a list is not ordered by names, so it is read page by page
_BY_ID = {"runs", "tokens", "rescued"}

# Arguments that name something: the list of the API that they are in.
ARGUMENTS = {
    "alias": "aliases", "key": "keys", "project": "projects", "rescued": "rescued", "run": "runs",
    "template": "templates", "token_id": "tokens", "user": "users", "variable_set": "variable-sets",
    "workspace": "workspaces",
}  # fmt: skip
_IN_WORKSPACE = {"aliases", "rescued"}
_OF_ALL = {"projects", "users"}


def argument(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A required argument that names something on the server."""
    return click.argument(name, shell_complete=names(ARGUMENTS[name]))


def names(noun: str) -> Suggest:
    """Suggest the names (of runs, tokens and refused writes the ids) that the server lists."""

    def suggest(
        context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        found: list[CompletionItem[str]] = []
        # whoever presses Tab wants no error in his line: no server, no token, no such project
        with suppress(click.ClickException):
            found += _listed(context.params, noun)
        return [item for item in found if str(item.value).startswith(incomplete)]

    return suggest


def _listed(params: dict[str, Any], noun: str) -> list[CompletionItem[str]]:
    from stateroom.options import connected
    from stateroom.tables import Json

    items: list[dict[str, Any]] = []

    def ask(api: Api, _show: object) -> None:
        api.seconds = SECONDS
        most = MOST_IDS if noun in _BY_ID else MOST_NAMES
        items.extend(islice(api.items(_within(params, noun) + path(noun)), most))

    server = {name: params.get(name) for name in ("url", "token_file", "data_dir")}
    connected(ask)(show=Json(), **server)
    suggested = [_suggestion(item, noun) for item in items]
    return [CompletionItem("latest"), *suggested] if noun == "runs" and items else suggested


def _within(params: dict[str, Any], noun: str) -> str:
    """The path that the list is below. Options that take a project have made a path of it."""
    if noun in _OF_ALL:
        return ""
    project = str(params.get("project") or params.get("where") or "")
    if noun in _IN_WORKSPACE:
        return project + path("workspaces", params.get("workspace") or "")
    return project


def _suggestion(item: dict[str, Any], noun: str) -> CompletionItem[str]:
    if noun == "runs":
        told = f"{item['operation']} in {item['workspace']['name']}: {item['status']}"
        return CompletionItem(item["id"], help=told)
    if noun == "tokens":
        return CompletionItem(item["id"], help=item["name"])
    if noun == "rescued":
        return CompletionItem(item["id"], help=item["reason"])
    return CompletionItem(item["name"])
