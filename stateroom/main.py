"""The `stateroom` command. Each part is loaded when it is used, so that `--help` is instant."""

from __future__ import annotations

import os
from importlib import import_module

import click

# What works on this machine, for operators: stateroom/local/NAME.py.
LOCAL = {
    "administrator": "Issue a new administrator's token.",
    "backup": "Copy a running installation.",
    "completion": "Print a script that completes commands and names in bash, zsh or fish.",
    "decrypt": "Write the states of a backup in clear.",
    "inspect": "Say where configurations keep their state, and what a run would do.",
    "keys": "The keys that encrypt everything: show, rotate and verify them.",
    "migrate": "Upgrade the database to the schema of this version.",
    "server": "Run the server: the API, the state backend and the pages.",
    "tools": "Versions of terraform and tofu on this machine: list, install and remove them.",
    "up": "Run the server and a worker on this machine, until Ctrl-C.",
    "worker": "Run a worker, which executes queued runs.",
}

# What talks to a server over HTTP: stateroom/remote/NAME.py.
REMOTE = {
    "aliases": "Addresses of a state for laptops and other systems.",
    "audit": "The audit log: list, export and verify it.",
    "doctor": "Examine a deployment, through every proxy before it.",
    "git-credentials": "Stored keys for the repositories of modules and submodules.",
    "locks": "Locks of states: list, hold, release and break them.",
    "login": "Sign in: the other commands use the token from then on.",
    "logout": "Sign out: revoke the token, and forget it.",
    "members": "Members of a project and their roles.",
    "outputs": "Print the outputs of a workspace, like `terraform output`.",
    "projects": "Projects: each has its own members, templates, workspaces and keys.",
    "rescued": "Refused writes that are kept until somebody decides.",
    "runs": "Executions of terraform and tofu: queue, follow, cancel and list them.",
    "states": "Versions of a state: download, upload, compare, restore and delete them.",
    "stored-keys": "Keys that open repositories: SSH keys, and usernames with passwords.",
    "templates": "Templates: which repository, branch and folder to run, with which tool.",
    "tokens": "API tokens: issue, list and revoke them.",
    "users": "Users, who sign in with a name and a password.",
    "variable-sets": "Sets of variables, which several workspaces choose.",
    "variables": "Variables of a workspace or a set, for terraform or its environment.",
    "workers": "Workers, and the tools that each has.",
    "workspaces": "Workspaces: each has a state, and may run a template.",
}


class Commands(click.Group):
    """Knows its commands by the tables above, and imports each when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click's
        return sorted(LOCAL | REMOTE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 click's
        if cmd_name not in LOCAL | REMOTE:
            return None
        place = "local" if cmd_name in LOCAL else "remote"
        module = import_module(f"stateroom.{place}.{cmd_name.replace('-', '_')}")
        found: click.Command = module.command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 click's
        for title, texts in (
            ("Commands for this machine", LOCAL),
            ("Commands that ask a server", REMOTE),
        ):
            with formatter.section(title):
                formatter.write_dl(sorted(texts.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(
    package_name="stateroom", prog_name="stateroom", message="%(prog)s %(version)s"
)
@click.pass_context
def main(context: click.Context) -> None:
    """Stateroom runs Terraform and OpenTofu for teams and keeps their state.

    Every command reads its settings from the environment, STATEROOM_NAME, or from a file,
    STATEROOM_NAME_FILE. docs/operations.md has the table.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        context.color = False  # None is click's: colours for a terminal
