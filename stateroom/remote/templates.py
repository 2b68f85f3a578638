from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from client.api import Api, path
from stateroom.completing import argument, names
from stateroom.groups import group
from stateroom.options import (
    TEXT_OR_NONE,
    backend_config_files,
    changes,
    connected,
    in_project,
    limited,
    listed,
    variable_files,
)
from stateroom.remote import rules, surveys, timeouts
from stateroom.tables import Columns, Show

LIST: Columns = {
    "name": "name",
    "repository": "repository",
    "ref": "ref",
    "path": "path",
    "tool": "tool",
    "backend": "backend_mode",
    "id": "id",
}
DETAIL: Columns = {
    **LIST,
    "tool's version": "tool_version",
    "override file": "override_file",
    "submodules": "submodules",
    "lfs": "lfs",
    "ignored wrappers": "ignored_wrappers",
    "allowed refs": "allowed_refs",
    "secrets for pull requests": "secrets_for_pull_requests",
    "timeouts": timeouts.told,
    "applies by itself": "auto_approve",
    "rules": rules.told,
    "survey": surveys.told,
    "free variables": "free_variables",
    "variable files": "variable_files",
    "backend config files": "backend_config_files",
    "queue": "queue",
    "key": "key.name",
    "made": "created_at",
}
PREVIEW: Columns = {
    "what is wrong": "problem.message",
    "commit": "commit",
    "subject": "subject",
    "backend of the sources": "detection.verdict",
    "found in": lambda found: _place(found["detection"]),
    "why": "detection.why",
    "generated file": "override.name",
    "tool": "tool.name",
    "version": "tool.version",
    "asked for": lambda found: [f"{one['text']} ({one['where']})" for one in found["requirements"]],
    "needed variables": lambda found: [
        one["name"] for one in found["variables"] if one["required"] and not one["is_set"]
    ],
    "warnings": lambda found: [*found["warnings"], *filter(None, [found["tool"]["warning"]])],
    "refs like it": "refs",
}
WRAPPERS = ("terragrunt", "terraspace", "terramate", "cdktf", "atmos")


# what decides what a run finds
_FOUND_BY = (
    click.option(
        "--ref",
        type=TEXT_OR_NONE,
        help="The branch, tag or commit to run; none: the default branch.",
    ),
    click.option("--path", help="The folder in the repository to run."),
    click.option("--tool", type=click.Choice(("terraform", "tofu")), help="The tool that runs it."),
    click.option(
        "--tool-version",
        type=TEXT_OR_NONE,
        help="The version of the tool: 1.11.4, 1.11, '~> 1.9', '>= 1.8, < 2', latest, auto (what "
        "the sources ask for), or none: the first one that the worker finds.",
    ),
    click.option(
        "--backend-mode",
        type=click.Choice(("auto", "override", "off")),
        help="Whether the state is kept here. auto: if the sources configure no backend; "
        "override: always; off: never.",
    ),
    click.option(
        "--override-file",
        type=TEXT_OR_NONE,
        help="The name of the override file; none: one that sorts last.",
    ),
    click.option(
        "--ignore-wrapper",
        "ignored_wrappers",
        multiple=True,
        callback=listed,
        type=click.Choice((*WRAPPERS, "none")),
        help="Run the sources without this program, which may keep their state elsewhere: import "
        "that first. May be given several times, and replaces earlier ones; none: take all away.",
    ),
    variable_files,
    click.option(
        "--submodules/--no-submodules",
        default=None,
        help="Fetch the submodules that the folder uses. Default: refuse a run that needs one.",
    ),
    click.option(
        "--lfs/--no-lfs",
        default=None,
        help="Fetch the files of Git LFS that the folder uses. Default: refuse a run that needs "
        "one.",
    ),
    click.option(
        "--key",
        type=TEXT_OR_NONE,
        shell_complete=names("keys"),
        help="The stored key that opens the repository.",
    ),
)
_FIELDS = (
    *_FOUND_BY,
    click.option(
        "--allow-ref",
        "allowed_refs",
        metavar="PATTERN",
        multiple=True,
        callback=listed,
        help="Let runs name these refs beside the template's own: release/* (branches), "
        "refs/tags/v*, any. May be given several times, and replaces earlier ones; none: take all "
        "away.",
    ),
    click.option(
        "--secrets-for-pull-requests/--no-secrets-for-pull-requests",
        default=None,
        help="Whether runs of pull requests get the variables that are marked sensitive. Default: "
        "no.",
    ),
    click.option(
        "--auto-approve",
        type=click.Choice(("never", "unless_destroys", "always")),
        help="Which plans are applied without waiting for an approval, of runs whose maker may "
        "approve them. unless_destroys: those that neither destroy nor replace anything.",
    ),
    timeouts.OPTION,
    rules.OPTION,
    surveys.OPTION,
    surveys.FREE,
    backend_config_files,
    click.option(
        "--queue",
        metavar="LABEL",
        help="Let only workers take its runs that listen to this queue (`stateroom worker "
        "--queue LABEL`).",
    ),
)


def _of_a_template(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_FIELDS):
        command = option(command)
    return command


def _of_a_preview(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_FOUND_BY):
        command = option(command)
    return command


def _place(found: dict[str, Any] | None) -> str | None:
    if found is None or found["file"] is None:
        return None
    return found["file"] if found["line"] is None else f"{found['file']}:{found['line']}"


@group("templates")
def command() -> None:
    """Templates: which repository, branch and folder to run, and with which tool."""


@command.command("list")
@in_project
@connected
@limited()
def list_templates(api: Api, show: Show, *, project: str) -> None:
    """List the templates of a project."""
    show.rows(api.items(f"{project}/templates"), LIST)


@command.command("create")
@click.argument("repository")
@click.option("--name", help="Its name. Default: the last part of the repository's URL.")
@_of_a_template
@click.option("--workspace", help="The name of its first workspace. Default: that of the template.")
@in_project
@connected
def create_template(
    api: Api, show: Show, *, project: str, workspace: str | None, **given: Any
) -> None:
    """Create a template and its first workspace, in which it can be run at once."""
    first = None if workspace is None else {"name": workspace}
    made = api.post(f"{project}/templates", {**changes(given), "workspace": first})
    show.item(made, DETAIL)


@command.command("preview")
@click.argument("repository")
@_of_a_preview
@click.option("--workspace", help="The workspace whose address would be injected.")
@in_project
@connected
def preview_template(api: Api, show: Show, *, project: str, **given: Any) -> None:
    """Show what a run would find and inject, without making a template.

    The server fetches the repository, and executes nothing of it.
    """
    found = api.post(f"{project}/templates/preview", changes(given))
    text = "" if found["override"] is None else found["override"]["text"]
    show.item(found, PREVIEW, text)


@command.command("show")
@argument("template")
@in_project
@connected
def show_template(api: Api, show: Show, *, project: str, template: str) -> None:
    """Show a template."""
    show.item(api.get(project + path("templates", template)), DETAIL)


@command.command("set")
@argument("template")
@click.option("--name", help="Its new name.")
@click.option("--repository", help="The URL of another repository.")
@_of_a_template
@in_project
@connected
def change_template(api: Api, show: Show, *, project: str, template: str, **given: Any) -> None:
    """Change a template. Runs that begin from now on use the new values."""
    show.item(api.patch(project + path("templates", template), changes(given)), DETAIL)


@command.command("delete")
@argument("template")
@in_project
@connected
def delete_template(api: Api, show: Show, *, project: str, template: str) -> None:
    """Delete a template. It is refused while a workspace runs the template."""
    api.delete(project + path("templates", template))
    show.note(f"The template {template} is deleted.")
