"""Read and write the state in the backend that the sources configure, with the tool.

Measured with terraform 1.11 and tofu 1.12 on local, pg, s3 and http: `state pull` prints the
document and one more line end. `state push` is refused if there is another state. A state that is
new there gets a new lineage; pushed a second time, the document keeps its lineage, and its serial
is raised by one.
"""

from __future__ import annotations

from runner.errors import ToolError
from runner.recipes import pulled
from runner.recipes.context import RunContext
from runner.recipes.pulled import Pulled
from runner.sources.source import Checkout
from runner.tools import commands

DEFAULT = "default"  # the CLI workspace that every backend has
STATE_FILE = "terraform.tfstate"


def workspaces(context: RunContext, checkout: Checkout) -> list[str]:
    """The CLI workspaces of the backend. Raises ToolError."""
    try:
        said = context.ask(
            commands.workspaces(context.tool, context.job.variables, context.variable_files),
            checkout.folder,
        )
    except ToolError as error:
        if error.code == "workspaces-unsupported":
            return [DEFAULT]
        raise
    names = [name.lstrip("* ").strip() for name in said.decode(errors="replace").splitlines()]
    return [name for name in names if name] or [DEFAULT]


def pull(context: RunContext, checkout: Checkout, workspace: str = DEFAULT) -> Pulled | None:
    """The state in the backend, or None if there is none. Raises ToolError and TransferError."""
    chosen = {} if workspace == DEFAULT else {"TF_WORKSPACE": workspace}
    command = commands.pull(context.tool, context.job.variables, context.variable_files)
    said = context.ask(command, checkout.folder, chosen, context.job.limits.state + 1)
    return pulled.parse(said.removesuffix(b"\n"))  # the tool adds one after the document


def push(context: RunContext, checkout: Checkout, document: Pulled) -> None:
    """Write a state, unless there is another one. Raises ToolError."""
    _push(context, checkout, commands.push(context.tool, document.body))


def push_over(context: RunContext, checkout: Checkout, document: Pulled) -> None:
    """Write a state, and replace what is there. Raises ToolError."""
    _push(context, checkout, commands.push_over(context.tool, document.body))


def _push(context: RunContext, checkout: Checkout, command: commands.Command) -> None:
    """Push a document. It is the standard input, so variables are passed in the environment."""
    given = context.job.variables if commands.knows_variables(context.tool) else ()
    values = {f"TF_VAR_{v.name}": v.value for v in given if v.kind == "terraform"}
    context.run(command, checkout.folder, values)
