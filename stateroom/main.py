"""The `stateroom` command. Each part is loaded when it is used, so that `--help` is instant."""

from __future__ import annotations

import os
from importlib import import_module

import click

# What works on this machine, for operators: stateroom/local/NAME.py.
LOCAL = {
    "administrator": "Issue an administrator's token.",
    "backup": "Copy an installation, while it runs.",
    "completion": "Print a script that completes commands and names in bash, zsh or fish.",
    "decrypt": "Get the states out of a backup.",
    "inspect": "Say where configurations keep their state.",
    "keys": "The keys that everything is sealed with.",
    "migrate": "Bring the database to this version's schema.",
    "server": "Run the server: the API, the state backend and the pages.",
    "up": "Run the server and a worker on this machine, until Ctrl-C.",
    "worker": "Run a worker: it claims queued runs and executes them.",
}

# What talks to a server over HTTP: stateroom/remote/NAME.py.
REMOTE = {
    "aliases": "Addresses of a state for laptops and other systems.",
    "audit": "Who did what: every change, every reading of a state.",
    "doctor": "Examine a deployment, through every proxy.",
    "locks": "Who holds a state now, and holding it by hand.",
    "login": "Sign in: the other commands use the token from then on.",
    "logout": "Sign out: revoke the token, and forget it.",
    "members": "What each user is in a project.",
    "outputs": "Print the outputs of a workspace, like `terraform output`.",
    "projects": "What everything else belongs to, and its quotas.",
    "rescued": "Writes that were refused, and kept for a decision.",
    "runs": "What is asked of terraform and tofu, and how far it is.",
    "states": "The versions of a state: pull, push, restore, pin.",
    "stored-keys": "What opens repositories: SSH keys, logins.",
    "templates": "What is run: repository, branch, folder, tool.",
    "tokens": "API credentials: shown once, with scopes and an expiry.",
    "users": "People, who sign in with a name and a password.",
    "variables": "What a workspace gives to terraform.",
    "workspaces": "States, and what runs on them.",
}


class Commands(click.Group):
    """A command of a name that is not known here is no command."""

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
        for title, texts in (("On this machine", LOCAL), ("Of a server", REMOTE)):
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
