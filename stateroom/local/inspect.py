"""`stateroom inspect`: what would happen to an estate, without changing it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runner.job import ToolName
    from runner.recipes.inspection import Finding

CLONE_SECONDS = 600.0


@click.command("inspect")
@click.argument("places", metavar="PATH-OR-URL...", nargs=-1, required=True)
@click.option(
    "--tool",
    type=click.Choice(["terraform", "tofu"]),
    default="terraform",
    show_default=True,
    help="Look for the files that this tool reads.",
)
@click.option(
    "-r", "--recursive", is_flag=True, help="Look at every folder below that has configuration."
)
@click.option(
    "--ignore-wrapper", "ignored", multiple=True, metavar="NAME",
    help="Look at the sources without this wrapper: terragrunt, terraspace, terramate, cdktf, "
    "atmos. May be given several times.",
)  # fmt: skip
@click.option("--json", "as_lines", is_flag=True, help="One JSON object a line.")
def command(
    *,
    places: tuple[str, ...],
    tool: ToolName,
    recursive: bool,
    ignored: tuple[str, ...],
    as_lines: bool,
) -> None:
    """Say where configurations keep their state, and what a run would inject.

    A URL is cloned first. Exit status: 0 every folder can run in backend mode auto, 1 some cannot,
    2 some could not be looked at.
    """
    from runner.recipes import inspection

    status = 0
    for place in places:
        for finding in _look(place, tool, ignored, recursive=recursive):
            row = inspection.as_json(finding)
            click.echo(json.dumps(row) if as_lines else inspection.as_text(finding))
            status = max(status, finding.exit_status)
    sys.exit(status)


def _look(
    place: str, tool: ToolName, ignored: tuple[str, ...], *, recursive: bool
) -> Iterator[Finding]:
    from runner.errors import DetectionError, RunnerError
    from runner.recipes.inspection import Finding, inspect_many, modules_under

    try:
        with _sources(place) as root:
            folders = modules_under(root) if recursive else [root]
            for finding in inspect_many(folders, tool, ignored_wrappers=ignored):
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

    from runner.job import Source, SourcePolicy
    from runner.sources import source

    # whoever types the address may go there: no server is asked to
    anywhere = SourcePolicy((Path("/"),), private_hosts=True, plain_http=True)
    with TemporaryDirectory(prefix="stateroom-") as folder:
        work = Path(folder)
        job = Source(place, policy=anywhere)
        yield source.clone(job, work / "source", work=work, deadline=CLONE_SECONDS).folder
