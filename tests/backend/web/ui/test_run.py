"""The page of one run: what it says, and to whom."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from backend.models import RescuedWrite, Run
from backend.runs import steps, workers
from backend.runs.steps import Event
from backend.states import states
from tests.backend.web.test_runs import told_by
from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.staged import installation_of, planned, queued, staged
from tests.support.visitor import Visitor, words

pytestmark = one_database

RUNS = "/projects/shop/runs"
HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m"


def is_harmless(page: str) -> bool:
    shown = re.sub(
        r"<textarea.*?</textarea>|value=\"[^\"]*\"|data-copy=\"[^\"]*\"", "", page, flags=re.DOTALL
    )
    return not any(bad in shown for bad in ("<script>alert", "\u202e", "\x1b"))


@pytest.fixture
def a_worker(app: Flask, shop: str) -> None:
    with installation_of(app).itself.transaction() as tx:
        tools = [{"name": "terraform", "version": "1.11.4", "origin": "PATH"}]
        workers.beat(tx, "w1", workers.Abilities(4, "namespaces", tools=tools))


def test_a_planned_run_says_what_it_changes_and_asks_for_an_approval(
    app: Flask, shop: str, owner: Visitor
) -> None:
    run = planned(
        app, changes={"add": 3, "change": 1, "destroy": 2, "replace": 2, "import": 1},
        findings=[{"rule": "protected", "message": "It destroys db.", "decision": "ask"}],
        goes_back={"reason": "commit", "run": "run_old", "commit": "c" * 40, "message": "Older."},
    )  # fmt: skip

    page = read_within(owner, f"{RUNS}/{run}")

    said = words(page)
    assert "This plan waits for an approval" in said
    assert "+3 to add ~1 to change \N{MINUS SIGN}2 to destroy" in said
    assert "2 replacements" in said
    assert "1 import" in said
    assert "may be overruled It destroys db." in said
    assert "This goes back." in said
    assert 'name="overrule"' in page
    assert "<title>planned: apply of app " in page
    assert "icons/waits.svg" in page


@pytest.mark.parametrize(
    ("role", "buttons"),
    [
        ("guest", set()),
        ("task_runner", {"discard", "comments"}),
        ("manager", {"approve", "discard", "comments"}),
        ("owner", {"approve", "discard", "comments"}),
    ],
)
def test_each_role_sees_its_buttons_of_a_planned_run_and_no_others(
    app: Flask, shop: str, visitor_of: Callable[..., Visitor], role: str, buttons: set[str]
) -> None:
    run = planned(app)

    page = visitor_of(role).read(f"{RUNS}/{run}")

    assert offered(page, run) == buttons


@pytest.mark.parametrize(
    ("role", "active", "lost", "ended"),
    [
        ("guest", set(), set(), set()),
        ("task_runner", {"cancel", "comments"}, {"comments"}, {"retry", "comments"}),
        (
            "manager",
            {"cancel", "comments"},
            {"acknowledge", "comments"},
            {"retry", "comments"},
        ),
    ],
)
def test_each_role_sees_its_buttons_at_work_lost_and_at_the_end(
    boss: Caller,
    app: Flask,
    visitor_of: Callable[..., Visitor],
    role: str,
    active: set[str],
    lost: set[str],
    ended: set[str],
) -> None:
    visitor, run = visitor_of(role), queued(boss, app, status="applying", epoch=1)
    path = f"{RUNS}/{run}"

    assert offered(visitor.read(path), run) == active
    staged(app, run, status="lost", blocking=True)
    assert offered(visitor.read(path), run) == lost
    staged(app, run, status="errored", blocking=False)
    assert offered(visitor.read(path), run) == ended


def offered(page: str, run: str) -> set[str]:
    """What the forms of a page decide about a run."""
    verbs = ("approve", "discard", "cancel", "force-cancel", "acknowledge", "retry", "comments")
    return {verb for verb in verbs if f'action="{RUNS}/{run}/{verb}"' in page}


def test_who_queued_a_run_is_told_that_a_second_person_approves_it(
    boss: Caller, app: Flask, shop: str, owner: Visitor, visitor_of: Callable[..., Visitor]
) -> None:
    boss.patch(f"{shop}/templates/app", {"rules": {"second_person": True}})
    run = planned(app)
    me = boss.get("/users").json["items"]
    own = next(one for one in me if one["name"] == "visitor-owner-false")
    staged(app, run, created_by=own["name"], created_by_id=own["id"])

    mine, others = (one.read(f"{RUNS}/{run}") for one in (owner, visitor_of("manager")))

    assert "You queued this run" in words(mine)
    assert "approve" not in offered(mine, run)
    assert "approve" in offered(others, run)


def test_only_who_manages_templates_overrules_a_rule(
    app: Flask, shop: str, boss: Caller, visitor_of: Callable[..., Visitor]
) -> None:
    finding = {"rule": "protected", "message": "It destroys db.", "decision": "ask"}
    run = planned(app, findings=[finding])
    staged(app, run, operation="destroy")

    page = visitor_of("manager").read(f"{RUNS}/{run}")

    assert 'name="overrule"' in page
    assert 'name="typed"' in page
    assert 'data-must-be="app"' in page


def test_a_queued_run_says_what_keeps_it_and_where_that_is_helped(
    boss: Caller, app: Flask, shop: str, owner: Visitor, administrator: Visitor
) -> None:
    first, second = queued(boss, app), queued(boss, app)

    page = read_within(owner, f"{RUNS}/{second}")

    said = words(page)
    assert f'href="{RUNS}/{first}"' in page
    assert "which is queued" in said
    assert "1 run of app begins before it" in said
    assert "none has been seen" in said
    assert "Ask whoever operates this installation" in said
    assert 'href="/installation"' in administrator.read(f"{RUNS}/{second}")


@pytest.mark.usefixtures("a_worker")
def test_a_lock_a_freeze_and_a_window_are_named_with_their_pages(
    boss: Caller, app: Flask, shop: str, owner: Visitor
) -> None:
    run = planned(app)
    info = {"ID": "lock-1", "Who": HOSTILE, "Info": HOSTILE, "Operation": "OperationTypeApply"}
    locked = boss.call("LOCK", "/api/terraform/state/shop/app", json=info)
    assert locked.status_code == 200, locked.get_data(as_text=True)
    at = datetime.now(UTC) + timedelta(hours=2)
    staged(app, run, approved_at=datetime.now(UTC), approved_by="ann", not_before=at)
    boss.post(f"{shop}/workspaces/app/freeze", {"reason": f"Audit {HOSTILE}"})

    page = read_within(owner, f"{RUNS}/{run}")

    assert is_harmless(page)
    assert f'href="{shop}/workspaces/app/lock"' in page
    assert f'href="{shop}/workspaces/app/settings"' in page
    assert "which opens in 1 h" in words(page)
    assert "Approved by ann" in words(page)


def test_steps_of_all_claims_are_shown_with_what_failed(
    boss: Caller, app: Flask, owner: Visitor
) -> None:
    run = queued(boss, app, status="planning", epoch=1)
    for epoch, status in ((1, "failed"), (2, "done")):
        staged(app, run, epoch=epoch)
        with told_by(run, app) as tx:
            began = Event("clone", 1, started=-10.0, ended=-5.0, status=status)
            detail: dict[str, Any] = {"subject": HOSTILE}
            steps.record(tx, [Event(**{**began.__dict__, "detail": detail})])

    page = read_within(owner, f"{RUNS}/{run}")

    assert is_harmless(page)
    said = words(page)
    assert "Claim 1 clone failed 5.0 s" in said
    assert "Claim 2 clone 5.0 s" in said


def test_a_failed_run_says_cause_and_next_step_with_commands_to_copy(
    boss: Caller, app: Flask, owner: Visitor
) -> None:
    run = queued(
        boss, app, status="errored", epoch=1, error_code="host-key-unknown",
        error_message=f"Not known. {HOSTILE}", error_facts={"place": "git.example.com:2222"},
        warnings=[HOSTILE],
    )  # fmt: skip

    page = read_within(owner, f"{RUNS}/{run}")

    assert is_harmless(page)
    assert "host-key-unknown" in page
    assert 'data-copy="stateroom projects host-keys scan -p shop git.example.com:2222"' in page
    assert "icons/bad.svg" in page


def test_what_was_detected_and_injected_is_shown_with_the_file_itself(
    boss: Caller, app: Flask, owner: Visitor
) -> None:
    text = 'terraform {\n  backend "http" {\n    address = "https://x/"\n  }\n}\n'
    run = queued(
        boss, app, status="applied", epoch=1, repository="git@github.com:team/app.git",
        commit="c" * 40, ref_rule="refs/heads/*", tool="terraform 1.11.4", sandbox="namespaces",
        worker="w1", attempts=2,
        detection={
            "verdict": "backend s3", "file": "main.tf", "line": 3, "why": "a block",
            "inject": True, "override_file": "zz_override.tf", "override": text,
        },
    )  # fmt: skip

    page = read_within(owner, f"{RUNS}/{run}")

    said = words(page)
    assert "backend s3 in main.tf:3" in said
    assert "backend &#34;http&#34; {" in page
    assert f'href="https://github.com/team/app/commit/{"c" * 40}"' in page
    for fact in ("terraform 1.11.4", "namespaces", "w1", "allowed by refs/heads/*", "Attempts 2"):
        assert fact in said, fact


def test_a_run_that_is_stopped_tells_the_next_signal_and_offers_to_kill(
    boss: Caller, app: Flask, owner: Visitor
) -> None:
    at = datetime.now(UTC)
    run = queued(
        boss, app, status="applying", epoch=1, cancel_requested_at=at,
        stopping={
            "signal": "SIGINT", "at": at.isoformat(), "next": "SIGTERM",
            "next_at": (at + timedelta(seconds=20)).isoformat(),
        },
        progress={
            "step": "apply", "total": 4, "done": 1, "unfinished": 0, "refreshed": 0,
            "active": [{"address": "a.b", "action": "create", "began_at": at.isoformat()}],
            "active_count": 3,
        },
    )  # fmt: skip

    page = read_within(owner, f"{RUNS}/{run}")

    said = words(page)
    assert "SIGINT was sent" in said
    assert 'data-then="SIGTERM"' in page
    assert "is in no state" in said
    assert offered(page, run) == {"force-cancel", "comments"}
    assert "1 of 4 changes done" in said
    assert "and 2 more" in said


def test_hostile_text_about_a_run_is_harmless(boss: Caller, app: Flask, owner: Visitor) -> None:
    run = queued(
        boss, app, {"message": HOSTILE}, ref=HOSTILE, repository=HOSTILE, path=HOSTILE,
        commit="c" * 40, created_by=HOSTILE, worker=HOSTILE, tool=HOSTILE, sandbox=HOSTILE,
        targets=[HOSTILE], replace=[HOSTILE], approved_by=HOSTILE, status="applied", epoch=1,
        detection={"verdict": HOSTILE, "file": HOSTILE, "line": 1, "why": HOSTILE, "inject": True,
                   "override_file": HOSTILE, "override": HOSTILE},
    )  # fmt: skip
    owner.done(f"{RUNS}/{run}/comments", {"text": HOSTILE})

    page = owner.read(f"{RUNS}/{run}")

    assert is_harmless(page)
    assert "\\u202e\\x1b[31m" in page


def test_variables_are_shown_with_their_sources_and_sensitive_ones_hidden(
    boss: Caller, owner: Visitor, shop: str, app_workspace: str
) -> None:
    for name, value, sensitive in (("size", "7", False), ("password", "hunter2hunter2", True)):
        boss.made(
            f"{app_workspace}/variables",
            {"name": name, "value": value, "kind": "terraform", "sensitive": sensitive},
        )
    boss.patch(f"{shop}/templates/app", {"free_variables": True})
    run = boss.made(f"{shop}/runs", {"variables": [{"name": "size", "value": "9"}]})["id"]

    page = read_within(owner, f"{RUNS}/{run}/variables")

    assert "hunter2" not in page
    said = words(page)
    assert "size 9 run workspace" in said
    assert "password sensitive workspace" in said


def test_outputs_are_shown_masked_and_only_to_who_may_read_them(
    boss: Caller, app: Flask, shop: str, visitor_of: Callable[..., Visitor]
) -> None:
    document = {
        "version": 4, "serial": 1, "lineage": "l", "terraform_version": "1.11.4", "resources": [],
        "outputs": {
            "address": {"value": HOSTILE, "type": "string"},
            "password": {"value": "hunter2", "type": "string", "sensitive": True},
        },
    }  # fmt: skip
    boss.call("POST", "/api/terraform/state/shop/app", json=document)
    run = queued(boss, app, status="applied", epoch=1)

    page = read_within(visitor_of("task_runner"), f"{RUNS}/{run}/outputs")

    assert is_harmless(page)
    assert "hunter2" not in page
    assert "password sensitive" in words(page)
    assert visitor_of("guest").get(f"{RUNS}/{run}/outputs").status_code == 403


def test_a_run_that_is_not_there_is_a_page_that_says_so(owner: Visitor) -> None:
    for rest in ("", "/variables", "/outputs"):
        answer = owner.get(f"{RUNS}/run_nothing{rest}")
        assert answer.status_code == 404
        assert "There is no run run_nothing" in words(answer.get_data(as_text=True))


def test_a_run_of_a_rescued_write_is_led_to_it(
    boss: Caller, app: Flask, owner: Visitor, shop: str
) -> None:
    run = queued(boss, app, status="lost", blocking=True, epoch=1)
    with installation_of(app).database.transaction() as db:
        row = db.get_one(Run, run)
        state = states.of_workspace(db, row.workspace)
        kept = RescuedWrite(
            state_id=state.id, reason="lost", size=1, md5=bytes(16), sha256=bytes(32), run_id=run,
            created_by="w1", key_id="none", wrapped_key=b"", sealed=b"",
        )  # fmt: skip
        db.add(kept)
        db.flush()
        kept_id = kept.id

    page = read_within(owner, f"{RUNS}/{run}")

    assert f'href="{shop}/workspaces/app/rescued/{kept_id}"' in page
    assert "acknowledge" not in offered(page, run)
