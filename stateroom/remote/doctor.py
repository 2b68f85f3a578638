"""The doctor's command line. Secrets come from the environment or from files, never by argv."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from client import doctor, report
from client.api import Api
from client.conformance import diagnosis
from client.conformance.suite import Outcome, is_sound
from client.doctor import Address, Deployment, Thoroughness
from stateroom.options import DATA_DIR_OPTION, TOKEN_FILE, checked_url, secret_in, token_from

PATH = click.Path(dir_okay=False, path_type=Path)


@click.command("doctor")
@click.argument("url", required=False, envvar="STATEROOM_URL")
@click.option("--project", default="", help="Make the scratch workspace in this project.")
@TOKEN_FILE
@DATA_DIR_OPTION
@click.option(
    "--address",
    help="Examine this address of a state or alias instead of URL. It must be unused.",
)
@click.option(
    "--username",
    envvar="TF_HTTP_USERNAME",
    default="",
    help="The username for --address [TF_HTTP_USERNAME].",
)
@click.option(
    "--password-file",
    type=PATH,
    help="Read the password for --address from this file [TF_HTTP_PASSWORD].",
)
@click.option("--quick", is_flag=True, help="Skip the checks with large, slow or many requests.")
@click.option(
    "--max-bytes",
    type=click.IntRange(1_000),
    default=Thoroughness.size_limit,
    show_default=True,
    help="The size of the largest state that is sent.",
)
@click.option(
    "--stall",
    type=click.FloatRange(0, 3600),
    default=Thoroughness.stall_seconds,
    show_default=True,
    help="How many seconds an upload pauses. A proxy with a shorter time-out is found.",
)
@click.option(
    "--report",
    "is_reported",
    is_flag=True,
    help="Store the result at the server, for the page of the installation. It needs the token of "
    "an administrator of the installation.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of lines.")
def command(  # noqa: PLR0913 its options
    *,
    url: str | None,
    project: str,
    token_file: Path | None,
    data_dir: Path | None,
    address: str | None,
    username: str,
    password_file: Path | None,
    quick: bool,
    max_bytes: int,
    stall: float,
    is_reported: bool,
    as_json: bool,
) -> None:
    """Examine the deployment at URL, through every proxy before it.

    Asks every rule of the state protocol as terraform would, of a scratch workspace `doctor-…`
    that is deleted again, and says of each fault what was seen, what it means for terraform and
    what to change. The token must be allowed to make a workspace, and to read, write, unlock and
    delete its state.

    Exit status: 0 sound, 1 not sound, 2 the examination could not begin.
    """
    patient: Deployment | Address
    if address is not None:
        patient = Address(checked_url(address), username, _password(password_file))
    elif url is not None:
        server = checked_url(url)
        patient = Deployment(server, token_from(server, token_file, data_dir), project)
    else:
        raise click.UsageError("Give the URL of a deployment, or --address.")
    if is_reported and not isinstance(patient, Deployment):
        raise click.UsageError("--report is for the URL of a deployment, not for --address.")
    how = Thoroughness(slow=not quick, size_limit=max_bytes, stall_seconds=stall)
    outcomes = _examine(patient, how, as_json=as_json)
    version = diagnosis.clean(doctor.version(patient.url))
    if as_json:
        click.echo(report.as_json(patient.url, version, outcomes))
    else:
        click.echo(f"\n{report.faults(outcomes)}\n{report.verdict(patient.url, version, outcomes)}")
    if is_reported and isinstance(patient, Deployment):
        with Api(patient.url, patient.token) as api:
            api.put("/installation/doctor", report.document(patient.url, version, outcomes))
    sys.exit(0 if is_sound(outcomes) else 1)


def _examine(patient: Deployment | Address, how: Thoroughness, *, as_json: bool) -> list[Outcome]:
    def say(outcome: Outcome) -> None:
        if not as_json:
            click.echo(report.line(outcome))

    try:
        with doctor.stopped_once():
            return doctor.examine(patient, how, say)
    except KeyboardInterrupt:
        click.echo("Interrupted: what was made for the checks is deleted again.", err=True)
        sys.exit(130)


def _password(file: Path | None) -> str:
    """From a file that was named, else from the environment. Raises UsageError."""
    if file is not None:
        return secret_in(file)
    found = os.environ.get("TF_HTTP_PASSWORD", "")
    if not found:
        raise click.UsageError("Set TF_HTTP_PASSWORD, or name a file: --password-file.")
    return found
