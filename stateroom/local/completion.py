"""`stateroom completion`: what a shell needs to complete commands, options and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

PROGRAM = "stateroom"


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def command(*, shell: str) -> None:
    r"""Print a script that lets your shell complete commands, options and names.

    Names of projects, workspaces, runs and more come from the server, when it answers at once and
    you are signed in.

    \b
    bash, in ~/.bashrc:   eval "$(stateroom completion bash)"
    zsh, in ~/.zshrc:     eval "$(stateroom completion zsh)"     (after compinit)
    fish:                 stateroom completion fish > ~/.config/fish/completions/stateroom.fish
    """
    program = click.get_current_context().find_root().command
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    click.echo(kind(program, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source())
