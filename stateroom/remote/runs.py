from __future__ import annotations

import functools
import sys
from typing import Any

import click

from client.api import Api, Item, RequestRefused, path
from stateroom import again, ids
from stateroom.completing import argument, names
from stateroom.groups import group
from stateroom.options import Command, connected, in_project, limited
from stateroom.remote import answers, deciding, exit_codes, following, plans
from stateroom.remote.run_columns import COMMENT, DETAIL, LIST
from stateroom.tables import Json, Show

OPERATIONS = ("plan", "apply", "destroy", "refresh", "drift", "import-state", "export-state")
HARMLESS = ("plan", "drift")  # the operations that change nothing
GROUPS = ("undecided", "waiting", "at_work", "failed")
STATUSES = (
    *("queued", "preparing", "planning", "planned", "applying", *following.DONE),
    *("discarded", "stale", "errored", "canceled", "lost"),
)


def on_a_run(command: Command) -> Command:
    """Give the command `where`: the API's path of the run that is named, or of the latest."""

    @functools.wraps(command)
    def on_run(
        api: Api, show: Show, *, project: str, run: str, workspace: str | None, **given: Any
    ) -> None:
        chosen = ids.latest_run(api, project, run, workspace)
        command(api, show, where=project + path("runs", chosen), **given)

    workspace = click.option(
        "-w", "--workspace", envvar="STATEROOM_WORKSPACE", shell_complete=names("workspaces"),
        help="For `latest`: of this workspace [STATEROOM_WORKSPACE]. Default: of the project.",
    )  # fmt: skip
    return argument("run")(workspace(in_project(connected(on_run))))


@group("runs")
def command() -> None:
    """Executions of terraform and tofu: queue, follow, cancel and list them."""


@command.command("queue", cls=exit_codes.Detailed)
@click.option(
    "-w", "--workspace", envvar="STATEROOM_WORKSPACE", shell_complete=names("workspaces"),
    help="Where to run. Default: the project's default workspace.",
)  # fmt: skip
@click.option(
    "--operation", type=click.Choice(OPERATIONS), default="apply", show_default=True,
    help="refresh writes what the resources are now into the state, drift only looks for changes "
    "from outside. import-state moves the state here from the backend of the sources, export-state "
    "moves it there. To queue needs the scope runs:create, to approve a plan runs:approve.",
)  # fmt: skip
@click.option(
    "--ref", help="Run this branch, tag or commit instead of the template's, which has to allow it."
)
@click.option(
    "--target", "targets", multiple=True, metavar="ADDRESS",
    help="Only this resource or module, and what it depends on. May be repeated.",
)  # fmt: skip
@click.option(
    "--replace", multiple=True, metavar="ADDRESS",
    help="Destroy this resource and make it again. May be repeated.",
)  # fmt: skip
@click.option("--message", help="A note that is shown with the run: the reason for it.")
@click.option(
    "--cli-workspace",
    help="For import-state: take the state of this CLI workspace, although others have one too, "
    "or the sources use terraform.workspace.",
)
@click.option(
    "--start-empty", is_flag=True, default=None,
    help="Begin with an empty state here, although there may be one elsewhere: in another backend, "
    "or in the repository.",
)  # fmt: skip
@click.option(
    "--allow-older", is_flag=True, default=None,
    help="Apply although the commit does not contain that of the last apply, or the template has "
    "got another repository or path since.",
)  # fmt: skip
@click.option(
    "--priority", type=click.Choice(("low", "normal", "high")),
    help="Whether it begins before or after the runs of other workspaces. high needs the scope "
    "runs:approve.",
)  # fmt: skip
@click.option(
    "--auto-approve", is_flag=True, default=None,
    help="Apply the plan, whatever it is, without asking. It needs the scope runs:approve.",
)  # fmt: skip
@click.option(
    "--wait/--no-wait", default=None,
    help="Print the log until the run ends, and exit with 1 unless the run succeeds. At a terminal "
    "the default is to print it until the run is planned, to show the plan and to ask.",
)  # fmt: skip
@click.option(
    "--detailed-exitcode", "detailed", is_flag=True,
    help="For --operation plan or drift with --wait: exit with 0 for no changes, 1 for an error, 2 "
    "for changes.",
)  # fmt: skip
@answers.options
@in_project
@connected
def queue_run(
    api: Api, show: Show, *, project: str, wait: bool | None, detailed: bool, **run: Any
) -> None:
    """Queue a run in a workspace; a worker executes it as soon as the workspace is free.

    What changes something waits for an approval when it is planned. Ctrl-C while it is followed
    stops only this command: the run goes on, and `runs cancel` stops it.
    """
    if detailed and (not wait or run["operation"] not in HARMLESS):
        raise click.UsageError("--detailed-exitcode needs --operation plan or drift, and --wait.")
    run["workspace"] = ids.whole(api, project, "workspaces", run["workspace"])
    made = answers.queue(api, f"{project}/runs", run)
    ended = _followed(api, show, project, made, wait=wait)
    if detailed and exit_codes.has_changes(ended):
        sys.exit(exit_codes.CHANGES)


def _followed(api: Api, show: Show, project: str, made: Item, *, wait: bool | None) -> Item:
    """Show a queued run, after following it if that is wanted. Raises RequestRefused."""
    where = project + path("runs", made["id"])
    if wait is None and deciding.can_ask(show):
        ended = _asking(api, show, where)
    elif wait:
        ended = following.to_its_end(api, show, where, sys.stderr.buffer)
    else:
        show.item(made, DETAIL)
        return made
    show.item(ended, DETAIL)
    if ended["finished_at"] is not None and ended["status"] not in following.DONE:
        raise RequestRefused(f"The run {made['id']} ended as {ended['status']}.")
    return ended


def _asking(api: Api, show: Show, where: str) -> Item:
    """Follow a run, and ask about its plan; the run, when it has ended or is left to others."""
    planned, offset = following.to_its_plan(api, show, where, sys.stderr.buffer)
    if not deciding.waits_for_approval(planned):
        return planned
    decided = deciding.ask(api, show, where)
    if decided["finished_at"] is not None or decided["approved_at"] is None:
        return decided
    return following.to_its_end(api, show, where, sys.stderr.buffer, offset)


@command.command("plan")
@plans.options
@on_a_run
def plan_of_run(api: Api, show: Show, *, where: str, **which: Any) -> None:
    """Show what a run would change, or has changed: its plan.

    The counts at the end are those of the whole plan. What is sensitive is hidden, in what --json
    prints too. RUN is an id, the beginning of one, or `latest`.
    """
    plans.show_plan(api, show, where, **which)


@command.command("retry")
@click.option("-m", "--comment", help="Why; it is shown with the run that is repeated.")
@click.option(
    "--wait/--no-wait", default=None,
    help="Follow the new run to its end; at a terminal the default is to ask about its plan.",
)  # fmt: skip
@on_a_run
def retry_run(api: Api, show: Show, *, where: str, comment: str | None, wait: bool | None) -> None:
    """Queue a run with the inputs of one that has ended.

    It plans again, what its branch or tag is now: the commit of the old run is not kept. RUN is an
    id, the beginning of one, or `latest`.
    """
    made = api.post(f"{where}/retry", {"comment": comment})
    _followed(api, show, where.rpartition("/runs/")[0], made, wait=wait)


@command.command("approve")
@click.option("-m", "--comment", help="Why; it is shown with the run.")
@click.option(
    "--overrule", is_flag=True,
    help="Although the plan breaks a rule of its template. It needs templates:manage too.",
)  # fmt: skip
@click.option(
    "--wait", is_flag=True, help="Print the log until the run ends. Exit with 1 unless it succeeds."
)
@on_a_run
def approve_run(  # noqa: PLR0913 the options of a command
    api: Api, show: Show, *, where: str, comment: str | None, overrule: bool, wait: bool
) -> None:
    """Let a worker apply the plan of a run, exactly as it is.

    A plan whose state, variables, template or keys have changed since is not applied: the run is
    `stale` then, and `runs retry` plans again. RUN is an id, the beginning of one, or `latest`.
    """
    approved = api.post(f"{where}/approve", {"comment": comment, "overrule": overrule})
    if wait:
        offset = approved["log_size"]
        approved = following.to_its_end(api, show, where, sys.stderr.buffer, offset)
    show.item(approved, DETAIL)
    if wait and approved["status"] not in following.DONE:
        raise RequestRefused(f"The run {approved['id']} ended as {approved['status']}.")


@command.command("discard")
@click.option("-m", "--comment", help="Why; it is shown with the run.")
@on_a_run
def discard_run(api: Api, show: Show, *, where: str, comment: str | None) -> None:
    """End a planned run without applying it.

    RUN is an id, the beginning of one, or `latest`.
    """
    show.item(api.post(f"{where}/discard", {"comment": comment}), DETAIL)


@command.command("comment")
@click.argument("text")
@on_a_run
def comment_on_run(api: Api, show: Show, *, where: str, text: str) -> None:
    """Say something about a run, for everybody who looks at it.

    RUN is an id, the beginning of one, or `latest`.
    """
    show.item(api.post(f"{where}/comments", {"text": text}), COMMENT)


@command.command("list")
@click.option(
    "-w", "--workspace", envvar="STATEROOM_WORKSPACE", shell_complete=names("workspaces"),
    help="Show only the runs of this workspace.",
)  # fmt: skip
@click.option(
    "-t",
    "--template",
    shell_complete=names("templates"),
    help="Show only the runs of this template.",
)
@click.option(
    "--status", type=click.Choice((*STATUSES, *GROUPS)),
    help="Show only runs in this status, or in one of a group: undecided (a person has to approve "
    "or acknowledge them), waiting, at_work, failed.",
)  # fmt: skip
@click.option(
    "--operation", type=click.Choice(OPERATIONS), help="Show only runs of this operation."
)
@click.option("--by", "created_by", metavar="NAME", help="Show only runs that this one has queued.")
@in_project
@connected
@limited(100)
def list_runs(api: Api, show: Show, *, project: str, **only: Any) -> None:
    """List the runs of a project, newest first."""
    for noun in ("workspace", "template"):
        only[noun] = ids.whole(api, project, f"{noun}s", only[noun])
    show.rows(api.items(f"{project}/runs", **only), LIST)


@command.command("show")
@on_a_run
def show_run(api: Api, show: Show, *, where: str) -> None:
    """Show one run: its status, its steps, and what it changed.

    RUN is an id, the beginning of one, or `latest`.
    """
    found = api.get(where)
    steps = [f"{step['name']}: {step['status']}" for step in found["steps"]]
    warnings = [f"Warning: {warning}" for warning in found["warnings"]]
    said = [f"{one['created_by']}: {one['text']}" for one in found["comments"]]
    show.item(found, DETAIL, "\n".join([*steps, *warnings, *said]))


@command.command("log")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option(
    "--tail", type=click.IntRange(1, 100_000), metavar="N",
    help="Begin N lines before the end of what there is, but at most 1 MiB.",
)  # fmt: skip
@click.option(
    "-t", "--timestamps", is_flag=True,
    help="Put before each line when it came. Not together with --follow.",
)  # fmt: skip
@click.option(
    "--raw", is_flag=True, help="Print control characters as they are; your terminal obeys them."
)
@on_a_run
def log_of_run(  # noqa: PLR0913 one for each option
    api: Api, show: Show, *, where: str, follow: bool, tail: int | None, timestamps: bool, raw: bool
) -> None:
    """Print the log of a run: everything that terraform or tofu printed, with secrets masked.

    Control characters are shown as escapes, so that no program that a run starts can do something
    to your terminal. RUN is an id, the beginning of one, or `latest`.
    """
    if follow and timestamps:
        raise click.UsageError("--timestamps cannot be used together with --follow.")
    offset, to = following.last_lines(api, where, tail), sys.stdout.buffer
    if follow:
        following.to_its_end(api, show, where, to, offset, raw=raw)
    else:
        following.log_so_far(api, where, to, offset, raw=raw, timestamps=timestamps)


@command.command("follow")
@on_a_run
def follow_run(api: Api, show: Show, *, where: str) -> None:
    """Print what happens in a run until it ends. Exit with 1 unless it succeeds.

    A run that waits for an approval is followed further, when somebody decides. Ctrl-C stops only
    this command, and a server that is started again meanwhile does not. With --json it prints each
    event: status, step, log, progress, end. RUN is an id, the beginning of one, or `latest`.
    """
    if isinstance(show, Json):
        ended = following.as_json(api, where)
    else:
        ended = following.to_its_end(api, show, where, sys.stdout.buffer)
        show.note(f"The run {ended['id']} ended as {ended['status']}.")
    if ended["status"] not in following.DONE:
        error = ended["error"] or {"code": ended["status"], "message": "It did not succeed."}
        raise RequestRefused(f"{error['message']} ({error['code']})")


@command.command("cancel")
@click.option(
    "--force", is_flag=True,
    help="Kill the tool at once: what it made since it last saved its state is in no state.",
)  # fmt: skip
@click.option(
    "--wait", is_flag=True, help="Print the log until the run ends. Exit with 1 if it succeeded."
)
@on_a_run
def cancel_run(api: Api, show: Show, *, where: str, force: bool, wait: bool) -> None:
    """Ask a run to stop.

    A queued run is canceled at once. Otherwise the worker interrupts terraform or tofu, which
    saves its state and unlocks it before the run ends. RUN is an id, the beginning of one, or
    `latest`.
    """
    asked = api.post(f"{where}/{'force-cancel' if force else 'cancel'}")
    show.note(_what_happens(asked, force=force, wait=wait))
    if not wait:
        show.item(asked, DETAIL)
        return
    ended = following.to_its_end(api, show, where, sys.stderr.buffer, asked["log_size"])
    show.item(ended, DETAIL)
    if ended["status"] in following.DONE:
        raise RequestRefused(
            f"The run {ended['id']} ended before it could be stopped: {ended['status']}."
        )


@command.command("acknowledge")
@on_a_run
def acknowledge_run(api: Api, show: Show, *, where: str) -> None:
    """Confirm that you looked at a lost run, so that its workspace takes runs again.

    A run is lost when its worker disappeared while terraform was changing things. RUN is an id,
    the beginning of one, or `latest`.
    """
    show.item(api.post(f"{where}/acknowledge"), DETAIL)


def _what_happens(run: Item, *, force: bool, wait: bool) -> str:
    """What a person should know of a run that was asked to stop."""
    if run["status"] == "canceled":
        return f"The run {run['id']} is canceled: it had not begun."
    if force:
        said = f"The run {run['id']} was asked to stop at once: its worker kills the tool."
    else:
        said = (
            f"The run {run['id']} was asked to stop: the tool is interrupted, saves its state and "
            "unlocks it."
        )
    return said if wait else f"{said}\nTo watch it: {again.command('runs', 'log', run['id'], '-f')}"
