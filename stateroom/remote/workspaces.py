from __future__ import annotations

import sys
from typing import Any

import click

from client.api import Api, Item, RequestRefused, path
from stateroom.completing import argument, names
from stateroom.groups import group
from stateroom.options import (
    NUMBER_OR_NONE,
    TEXT_OR_NONE,
    backend_config_files,
    changes,
    connected,
    in_project,
    limited,
    listed,
    of_workspace,
    snippet_for,
    variable_files,
)
from stateroom.remote import drift, following
from stateroom.tables import Columns, Show

LIST: Columns = {
    "name": "name",
    "template": "template.name",
    "frozen": "frozen_at",
    "id": "id",
    "made": "created_at",
}
DETAIL: Columns = {
    **LIST,
    "address": "addresses.address",
    "serial": "state.current.serial",
    "version": "state.current.number",
    "locked": "lock.held",
    "locked by": lambda found: found["lock"]["held_by"] if found["lock"]["held"] else None,
    "frozen because": "frozen_reason",
    "module key": "module_key.name",
    "lock timeout, seconds": "lock_timeout_seconds",
    "versions kept": "keep_versions",
    "days kept": "keep_days",
    "starts empty": "start_empty",
    "backend of the sources": "own_backend",
    "shares that backend": "shares_backend",
    "drift": lambda found: drift.summary(found["drift"]) if found["drift"] else None,
    "variable sets": lambda found: [chosen["name"] for chosen in found["variable_sets"]],
    "variable files": "variable_files",
    "backend config files": "backend_config_files",
}
CONTENTS = {
    "versions": ("version of its state", "versions of its state"),
    "rescued": ("refused write that waits for a decision", "refused writes that wait for one"),
    "runs": ("run and its log", "runs and their logs"),
    "aliases": ("alias", "aliases"),
    "variables": ("variable", "variables"),
}


variable_sets = click.option(
    "--variable-set",
    "variable_sets",
    multiple=True,
    callback=listed,
    shell_complete=names("variable-sets"),
    help="Give its runs the variables of this set. May be given several times, a later one wins; "
    "it replaces earlier ones; none: take all away.",
)


@group("workspaces")
def command() -> None:
    """Workspaces: each has a state of its own, and may run a template."""


@command.command("list")
@in_project
@connected
@limited()
def list_workspaces(api: Api, show: Show, *, project: str) -> None:
    """List the workspaces of a project."""
    show.rows(api.items(f"{project}/workspaces"), LIST)


@command.command("create")
@click.argument("name")
@click.option(
    "--template",
    shell_complete=names("templates"),
    help="The template that it runs. Without one it only keeps a state.",
)
@click.option(
    "--module-key", shell_complete=names("keys"), help="The stored SSH key for private modules."
)
@variable_sets
@snippet_for
@in_project
@connected
def create_workspace(api: Api, show: Show, *, project: str, tool: str, **workspace: Any) -> None:
    """Create a workspace with an empty state, and print the backend configuration to paste."""
    made = api.post(f"{project}/workspaces", workspace)
    show.text(made, made["addresses"]["snippets"][tool])


@command.command("show")
@argument("workspace")
@snippet_for
@in_project
@connected
def show_workspace(api: Api, show: Show, *, project: str, workspace: str, tool: str) -> None:
    """Show a workspace: its state, its lock, and the backend configuration to paste."""
    found = api.get(project + path("workspaces", workspace))
    show.item(found, DETAIL, found["addresses"]["snippets"][tool])


@command.command("set")
@argument("workspace")
@click.option("--name", help="A new name. It changes the address of its state; aliases stay.")
@click.option(
    "--template",
    shell_complete=names("templates"),
    help="The template to run, for a workspace that has none.",
)
@click.option(
    "--module-key",
    type=TEXT_OR_NONE,
    shell_complete=names("keys"),
    help="The stored SSH key for private modules.",
)
@click.option(
    "--lock-timeout-seconds",
    type=NUMBER_OR_NONE,
    help="Let others take the lock of a client that was silent for so long; none: never.",
)
@click.option(
    "--keep-versions",
    type=NUMBER_OR_NONE,
    help="How many versions are kept; none: as the installation has it.",
)
@click.option(
    "--keep-days",
    type=NUMBER_OR_NONE,
    help="For how many days versions are kept; none: as the installation has it.",
)
@click.option(
    "--start-empty/--no-start-empty",
    default=None,
    help="Whether runs may begin with an empty state, although the sources name another backend or "
    "the repository has a state. Import that state first, if it is needed.",
)
@click.option(
    "--shares-backend/--no-shares-backend",
    default=None,
    help="Whether the backend of its sources may be that of another workspace too: their runs take "
    "turns.",
)
@variable_sets
@variable_files
@backend_config_files
@in_project
@connected
def change_workspace(api: Api, show: Show, *, project: str, workspace: str, **given: Any) -> None:
    """Change the name, template, key or limits of a workspace, or how its state begins."""
    show.item(api.patch(project + path("workspaces", workspace), changes(given)), DETAIL)


command.add_command(drift.command)


@command.command("freeze")
@argument("workspace")
@click.option("--reason", required=True, help="The reason, shown to everyone who is refused.")
@in_project
@connected
def freeze_workspace(api: Api, show: Show, *, project: str, workspace: str, reason: str) -> None:
    """Freeze a workspace: nobody can lock it, write its state or queue a run."""
    found = api.post(project + path("workspaces", workspace, "freeze"), {"reason": reason})
    show.item(found, DETAIL)


@command.command("unfreeze")
@argument("workspace")
@in_project
@connected
def unfreeze_workspace(api: Api, show: Show, *, project: str, workspace: str) -> None:
    """Unfreeze a workspace. Runs that waited for it begin."""
    show.item(api.post(project + path("workspaces", workspace, "unfreeze")), DETAIL)


@command.command("delete")
@of_workspace
@click.option(
    "--destroy", is_flag=True,
    help="First destroy what the state describes, by a run; delete nothing unless that succeeds.",
)  # fmt: skip
@click.option(
    "--confirm", metavar="NAME", help="The name of the workspace, instead of typing it when asked."
)
@connected
def delete_workspace(
    api: Api, show: Show, *, workspace: str, destroy: bool, confirm: str | None
) -> None:
    """Delete a workspace for good, with its state, runs, aliases and variables.

    It says what would go with the workspace, and asks for its name. An empty workspace is deleted
    without a question. The audit log stays. Resources that the state describes go on existing,
    unless --destroy removes them first.
    """
    found = api.get(workspace)
    project = workspace.rpartition("/workspaces/")[0]
    where = project + path("workspaces", found["id"])
    contents = api.get(f"{where}/contents")
    if destroy or any(contents.values()):
        show.note(_what_goes(found, contents, destroy=destroy))
        _check_name(found["name"], confirm)
    if destroy:
        _destroy(api, show, project, found)
        contents = api.get(f"{where}/contents")
    holds_a_state = contents["versions"] or contents["rescued"]
    api.delete(
        where,
        with_runs="true" if contents["runs"] else None,
        with_state="true" if holds_a_state and not found["state"]["deleted_at"] else None,
    )
    show.note(f"The workspace {found['name']} is deleted.")


def _what_goes(workspace: Item, contents: Item, *, destroy: bool) -> str:
    counted = [
        f"{contents[kind]} {one if contents[kind] == 1 else more}"
        for kind, (one, more) in CONTENTS.items()
        if contents[kind]
    ]
    with_it = f" with {', '.join(counted)}" if counted else ""
    said = f"The workspace {workspace['name']} will be deleted for good{with_it}."
    if destroy:
        return f"Everything that its state describes will be destroyed.\n{said}"
    if contents["versions"]:
        said += (
            "\nWhat its state describes will go on existing, and nothing will manage it: --destroy "
            "destroys it first."
        )
    return said


def _check_name(name: str, confirm: str | None) -> None:
    """Raises UsageError unless the user gave the name of the workspace."""
    if confirm is None:
        try:
            confirm = click.prompt("Type the name of the workspace to go on", err=True)
        except click.Abort:
            click.echo(err=True)  # the prompt's line goes on otherwise
            raise click.UsageError(
                "Nothing was deleted. Without a terminal, say --confirm NAME."
            ) from None
    if confirm != name:
        raise click.UsageError(f"Nothing was deleted: the name of the workspace is {name!r}.")


def _destroy(api: Api, show: Show, project: str, workspace: Item) -> None:
    """Raises RequestRefused unless a run destroyed everything."""
    asked = {
        "workspace": workspace["id"],
        "operation": "destroy",
        "message": "Workspace deletion",
        "auto_approve": True,  # the name of the workspace was typed
    }
    run = api.post(f"{project}/runs", asked)
    ended = following.to_its_end(api, show, project + path("runs", run["id"]), sys.stderr.buffer)
    if ended["status"] not in following.DONE:
        raise RequestRefused(
            f"The run {run['id']} ended as {ended['status']}: the workspace was not deleted."
        )
