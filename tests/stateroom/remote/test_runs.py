from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.installations import Installations
from tests.support.place import Place
from tests.support.processes import wait_until
from tests.support.repositories import MODULE, Repository, sleeping_module


@pytest.fixture
def place(installations: Installations, repository: Repository) -> Place:
    """A fresh project whose template can be run."""
    return installations.with_worker().place(repository=str(repository.folder))


def test_a_run_is_queued_followed_and_shown(cli: CommandLine) -> None:
    done = cli.run("runs", "queue", "--message", "the first", "--auto-approve", "--wait")
    [run] = cli.table("runs", "list")

    assert done.exit_code == 0, done.output
    assert "Apply complete!" in done.stderr
    assert "message:        the first\n" in done.stdout
    assert (run["OPERATION"], run["STATUS"]) == ("apply", "applied")
    assert "apply: done" in cli.must("runs", "show", run["ID"])
    assert "Apply complete!" in cli.must("runs", "log", run["ID"])
    assert cli.must("runs", "log", run["ID"], "--follow") == cli.must("runs", "log", run["ID"])


def test_a_run_waits_for_an_approval_and_is_applied_after_it(cli: CommandLine) -> None:
    [queued] = cli.json("runs", "queue")
    wait_until(lambda: status_of(cli, queued["id"]) == "planned", "the plan")

    done = cli.run("runs", "approve", queued["id"], "--comment", "as discussed", "--wait")

    assert done.exit_code == 0, done.output
    assert "Apply complete!" in done.stderr
    assert "Plan: " not in done.stderr
    shown = cli.must("runs", "show", queued["id"])
    assert "status:         applied\n" in shown
    assert "as discussed" in shown
    assert cli.run("runs", "approve", queued["id"]).exit_code == 1


def test_who_follows_a_run_is_told_how_to_approve_it(cli: CommandLine, tmp_path: Path) -> None:
    watching = cli.start("runs", "queue", "--wait", log=tmp_path / "log")
    wait_until(lambda: "waits until somebody decides" in watching.said(), "the plan")
    [run] = cli.json("runs", "list")

    assert f"To apply it:      stateroom runs approve {run['id']}\n" in watching.said()
    cli.must("runs", "discard", run["id"], "-m", "not today")

    assert watching.wait() == 1
    assert "ended as discarded" in watching.said()
    assert "not today" in cli.must("runs", "show", run["id"])


@pytest.mark.parametrize(
    ("answer", "status"), [("yes", "applied"), ("no", "discarded"), ("later", "planned")]
)
def test_at_a_terminal_the_plan_is_shown_and_the_user_is_asked(
    cli: CommandLine, answer: str, status: str
) -> None:
    said = cli.at_a_terminal("runs", "queue", answers={"Apply this plan?": answer})

    [run] = cli.json("runs", "list")
    assert run["status"] == status
    assert "will be created" in said
    assert said.index("will be created") < said.index("Apply this plan?")


def status_of(cli: CommandLine, run: str) -> str:
    [found] = cli.json("runs", "show", run)
    return str(found["status"])


def test_who_may_only_plan_is_told_which_scope_an_apply_needs(
    cli: CommandLine, place: Place
) -> None:
    planner = place.with_scopes("runs:create", "runs:read").token

    apply = cli.run("runs", "queue", "--auto-approve", STATEROOM_TOKEN=planner)
    plan = cli.run("runs", "queue", "--operation", "plan", STATEROOM_TOKEN=planner)

    assert apply.exit_code == 1
    assert "runs:approve" in apply.stderr
    assert "the run waits until somebody approves its plan" in apply.stderr
    assert plan.exit_code == 0, plan.output


def test_targets_and_what_is_replaced_are_given_one_by_one(cli: CommandLine) -> None:
    options = ("--target", "module.m", "--target", 'a.b["k k"]', "--replace", "a.b[0]")

    shown = cli.must("runs", "queue", "--operation", "plan", *options)
    [listed] = cli.json("runs", "list")
    wrong = cli.run("runs", "queue", "--operation", "drift", "--target", "a.b ")

    assert "only:" in shown
    assert 'module.m a.b["k k"]\n' in shown
    assert listed["targets"] == ["module.m", 'a.b["k k"]']
    assert listed["replace"] == ["a.b[0]"]
    assert wrong.exit_code == 1
    assert "at character 4 of 'a.b '" in wrong.stderr


def test_a_run_is_queued_again(cli: CommandLine) -> None:
    [old] = cli.json("runs", "queue", "--operation", "plan", "--message", "first", "--wait")

    [new] = cli.json("runs", "retry", "latest", "-m", "once more", "--wait")

    assert (new["retry_of"], new["message"]) == (old["id"], "first")
    assert new["status"] == "planned_and_finished"
    assert "once more" in cli.must("runs", "show", old["id"])
    assert old["id"] in cli.must("runs", "show", "latest")


def test_a_log_does_nothing_to_a_terminal_unless_it_is_asked_for_raw(
    cli: CommandLine, repository: Repository
) -> None:
    command = r"printf '\\033]0;owned\\007\\n'"
    provisioner = f'provisioner "local-exec" {{\n    command = "{command}"\n  }}'
    module = f'resource "terraform_data" "x" {{\n  {provisioner}\n}}\n'
    repository.replace({"main.tf": module})

    done = cli.run("runs", "queue", "--message", "evil \x1b[31m", "--auto-approve", "--wait")

    assert done.exit_code == 0, done.output
    for said in (done.stderr, done.stdout, cli.must("runs", "log", "latest"),
                 cli.must("runs", "log", "latest", "--follow"), cli.must("runs", "show", "latest"),
                 cli.must("runs", "list")):  # fmt: skip
        assert "\x1b" not in said
    assert r"\x1b]0;owned\x07" in cli.must("runs", "log", "latest")
    assert "\x1b]0;owned\x07" in cli.must("runs", "log", "latest", "--raw")


def test_a_run_that_fails_is_told_by_the_exit_status(cli: CommandLine) -> None:
    done = cli.run("runs", "queue", "--operation", "import-state", "--wait")

    assert done.exit_code == 1
    assert "nothing-to-import" in done.stdout
    assert "ended as errored" in done.stderr
    assert len(cli.json("runs", "list", "--status", "errored")) == 1
    assert len(cli.json("runs", "list", "--status", "failed", "--operation", "import-state")) == 1
    assert cli.json("runs", "list", "--by", "nobody") == []


def test_a_plan_exits_with_2_for_changes_and_with_0_for_none(
    cli: CommandLine, repository: Repository
) -> None:
    plan = ("runs", "queue", "--operation", "plan", "--wait")

    changes = cli.run(*plan, "--detailed-exitcode")
    without_the_option = cli.run(*plan)
    cli.must("runs", "queue", "--auto-approve", "--wait")
    nothing = cli.run(*plan, "--detailed-exitcode")
    repository.commit({"more.tf": 'output "more" {\n  value = 1\n}\n'})
    an_output = cli.run(*plan, "--detailed-exitcode")

    assert (changes.exit_code, without_the_option.exit_code) == (2, 0), changes.output
    assert (nothing.exit_code, an_output.exit_code) == (0, 2), nothing.output + an_output.output


def test_a_plan_that_fails_exits_with_1(cli: CommandLine, repository: Repository) -> None:
    repository.replace({"main.tf": "resource"})

    done = cli.run("runs", "queue", "--operation", "plan", "--wait", "--detailed-exitcode")

    assert done.exit_code == 1, done.output


@pytest.mark.parametrize(
    "wrong", [(), ("--operation", "plan"), ("--wait",), ("--operation", "nothing"), ("--nothing",)]
)
def test_wrong_usage_is_not_taken_for_changes(cli: CommandLine, wrong: tuple[str, ...]) -> None:
    done = cli.run("runs", "queue", "--detailed-exitcode", *wrong)

    assert done.exit_code == 1
    assert done.stderr.startswith("Usage: ")
    assert cli.run("runs", "queue", "--nothing").exit_code == 2


def test_a_run_at_work_is_asked_to_stop_and_followed_to_its_end(
    cli: CommandLine, repository: Repository
) -> None:
    repository.replace({"main.tf": sleeping_module(60)})
    [queued] = cli.json("runs", "queue", "--auto-approve")
    wait_until(lambda: "quick" in cli.must("runs", "log", queued["id"]), "the apply to begin")

    done = cli.run("runs", "cancel", queued["id"], "--wait")

    assert done.exit_code == 0, done.output
    assert f"The run {queued['id']} was asked to stop: the tool is interrupted" in done.stderr
    assert "status:         canceled\n" in done.stdout


def test_a_workspace_is_destroyed_and_deleted_by_one_command(
    cli: CommandLine, repository: Repository
) -> None:
    cli.must("runs", "queue", "--auto-approve", "--wait")

    repository.commit({"main.tf": "resource"})
    failed = cli.run("workspaces", "delete", "first", "--destroy", "--confirm", "first")
    repository.replace({"main.tf": MODULE})
    done = cli.run("workspaces", "delete", "first", "--destroy", "--confirm", "first")

    assert failed.exit_code == 1
    assert "ended as errored: the workspace was not deleted" in failed.stderr
    assert done.exit_code == 0, done.output
    assert "1 destroyed." in done.stderr
    assert cli.table("workspaces", "list") == []


@pytest.fixture
def without_a_worker(installations: Installations, repository: Repository) -> CommandLine:
    """Runs stay in the queue there."""
    place = installations.server(worker_slots=1).place(repository=str(repository.folder))
    return CommandLine(place.wire.url, place.api.token, place.project, place.workspace)


def test_who_stops_watching_a_run_is_told_that_it_goes_on(
    without_a_worker: CommandLine, tmp_path: Path
) -> None:
    cli = without_a_worker
    watching = cli.start("runs", "queue", "--wait", log=tmp_path / "log")
    wait_until(lambda: "is queued" in watching.said(), "the run")
    [run] = cli.json("runs", "list")

    watching.signal(signal.SIGINT)

    assert watching.wait() == 130
    assert f"The run {run['id']} goes on.\n" in watching.said()
    assert f"To cancel it:      stateroom runs cancel {run['id']}\n" in watching.said()
    assert "Traceback" not in watching.said()
    assert cli.json("runs", "show", run["id"])[0]["status"] == "queued"


def test_the_command_that_cancels_is_complete(
    without_a_worker: CommandLine, tmp_path: Path
) -> None:
    cli = without_a_worker
    project = str(cli.exported.pop("STATEROOM_PROJECT"))
    watching = cli.start("runs", "queue", "-p", project, "--wait", log=tmp_path / "log")
    wait_until(lambda: "is queued" in watching.said(), "the run")

    watching.signal(signal.SIGINT)
    watching.wait()
    [line] = [line for line in watching.said().splitlines() if "To cancel it" in line]
    _, *command = line.split("stateroom ")[1].split()

    assert cli.json("runs", *command)[0]["status"] == "canceled"


def test_a_run_in_the_queue_is_canceled(without_a_worker: CommandLine) -> None:
    cli = without_a_worker
    [queued] = cli.json("runs", "queue", "--operation", "plan", "--start-empty")

    [canceled] = cli.json("runs", "cancel", queued["id"])

    assert queued["start_empty"] is True
    assert canceled["status"] == "canceled"
    assert cli.run("runs", "acknowledge", queued["id"]).exit_code == 1


def test_who_cancels_a_run_is_told_what_happens(without_a_worker: CommandLine) -> None:
    [queued] = without_a_worker.json("runs", "queue")

    done = without_a_worker.run("runs", "cancel", queued["id"])

    assert done.stderr == f"The run {queued['id']} is canceled: it had not begun.\n"
