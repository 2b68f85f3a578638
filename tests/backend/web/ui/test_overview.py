"""The overview, the first page of a project, and the search."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from backend.models import Drift, Lock, Run, State, Worker, Workspace
from backend.transactions import Installation
from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.documents import state_document
from tests.support.people import new_person
from tests.support.visitor import Visitor, words

pytestmark = one_database
PLACES = ("/", "/projects/shop")


def add_run(
    server: Installation, status: str, *, ago: timedelta = timedelta(), **fields: Any
) -> str:
    """A run of the workspace `app` that came so far; its id."""
    with server.itself.transaction() as tx:
        workspace = tx.db.scalars(select(Workspace).where(Workspace.name == "app")).one()
        run = Run(
            project_id=workspace.project_id, workspace_id=workspace.id,
            template_id=workspace.template_id, status=status, created_by="ann",
            created_at=datetime.now(UTC) - ago, **{"operation": "apply"} | fields,
        )  # fmt: skip
        tx.db.add(run)
        tx.db.flush()
        return run.id


def change(server: Installation, row: Any) -> None:
    with server.itself.transaction() as tx:
        tx.db.add(row)


def state_id(server: Installation) -> str:
    with server.itself.reading() as tx:
        return tx.db.scalars(select(State.id)).one()


def test_an_empty_installation_leads_to_the_guide(boss: Caller, app: Flask) -> None:
    administrator = Visitor(app, new_person(boss, is_admin=True).token)
    member = Visitor(app, new_person(boss, "bob").token)

    assert 'href="/guide"' in administrator.read("/")
    assert "Ask an administrator" in words(member.read("/"))
    assert 'href="/guide"' not in member.read("/")


def test_a_quiet_installation_says_so(owner: Visitor) -> None:
    for place in PLACES:
        assert "Nothing waits for you" in words(read_within(owner, place))


@pytest.mark.parametrize(
    ("status", "title"),
    [
        ("planned", "Waiting for"),
        ("lost", "Lost"),
        ("errored", "Failed"),
        ("applying", "At work"),
        ("queued", "Queued"),
    ],
)
def test_a_run_stands_where_its_status_belongs(
    server: Installation, owner: Visitor, status: str, title: str
) -> None:
    run_id = add_run(server, status)

    for place in PLACES:
        page = read_within(owner, place)
        section = page.split(title, 1)[1]
        assert f'href="/projects/shop/runs/{run_id}"' in section


def test_a_failure_that_was_mended_since_is_no_news(server: Installation, owner: Visitor) -> None:
    failed = add_run(server, "errored", ago=timedelta(hours=2))
    old = add_run(server, "errored", ago=timedelta(days=20))
    assert failed in owner.read("/")
    assert old not in owner.read("/")

    add_run(server, "applied", ago=timedelta(hours=1))

    assert failed not in owner.read("/")


def test_a_plan_that_worked_does_not_hide_a_failed_apply(
    server: Installation, owner: Visitor
) -> None:
    failed = add_run(server, "errored", ago=timedelta(hours=2))
    add_run(server, "planned_and_finished", ago=timedelta(hours=1), operation="plan")

    assert failed in owner.read("/")


def test_runs_that_wait_without_a_worker_are_a_warning(
    server: Installation, owner: Visitor
) -> None:
    add_run(server, "queued")
    assert "no worker is alive" in words(owner.read("/"))

    change(server, Worker(name="w", slots=1, seen_at=datetime.now(UTC)))

    assert "no worker is alive" not in words(owner.read("/"))


def test_locks_drift_and_rescued_writes_are_shown(
    server: Installation, owner: Visitor, boss: Caller
) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=3)
    state, looked = state_id(server), add_run(server, "planned_and_finished", operation="drift")
    with server.itself.transaction() as tx:
        lock = tx.db.get_one(Lock, state)
        lock.held, lock.lock_id, lock.held_by = True, "x", "laptop"
        lock.acquired_at = lock.last_seen_at = long_ago
        lock.info = {"Who": "<b>eve</b>\u202e\x1b[31m", "Operation": "OperationTypeApply"}
        workspace = tx.db.scalars(select(Workspace)).one()
        tx.db.add(
            Drift(
                workspace_id=workspace.id,
                run_id=looked,
                looked_at=long_ago,
                partial=False,
                resources=3,
                outputs=0,
                unimportant=0,
                sealed=b"",
            )
        )
    path, written = "/api/terraform/state/shop/app", state_document(1, lineage="a")
    refused = boss.call("POST", path, data=written, query_string={"ID": "other"})
    assert refused.status_code in {409, 423}, refused.get_data(as_text=True)

    for place in PLACES:
        page = read_within(owner, place)
        said = words(page)
        assert "<b>eve</b>\\u202e\\x1b[31m OperationTypeApply" in said
        assert "\x1b" not in page
        assert "Changed outside" in said
        assert "Rescued writes Workspace Refused states that wait for a decision app" in said


def test_strangers_see_nothing_of_it(
    server: Installation, visitor_of: Callable[..., Visitor]
) -> None:
    run_id, stranger = add_run(server, "planned"), visitor_of(None)

    assert run_id not in stranger.read("/")
    assert stranger.get("/projects/shop").status_code == 404
    assert stranger.get("/projects/shop/figures").status_code == 404
    assert stranger.get("/search?project=shop&q=app").status_code == 404
    found = stranger.read("/search?q=app")
    assert "Nothing is called like that" in found


def test_figures_count_runs_by_the_day(server: Installation, owner: Visitor) -> None:
    for status, days in (("applied", 0), ("errored", 0), ("lost", 3), ("applied", 40)):
        add_run(server, status, ago=timedelta(days=days))

    for page in (read_within(owner, "/figures"), read_within(owner, "/projects/shop/figures")):
        assert "3 in 30 days, 2 of them failed" in words(page)
        assert "Storage" not in page


def test_administrators_see_workers_and_storage(
    server: Installation, administrator: Visitor
) -> None:
    tools = [{"name": "tofu", "version": "1.12.6", "origin": "PATH"}]
    change(server, Worker(name="host:1", slots=4, seen_at=datetime.now(UTC), tools=tools))

    said = words(read_within(administrator, "/figures"))

    assert "host:1 Slots 4, for default Tools tofu 1.12.6" in said
    assert "free of" in said


def test_everything_is_found_by_a_part_of_its_name(server: Installation, owner: Visitor) -> None:
    run_id = add_run(server, "applied", message="Raise the 100% limit_of things")

    page = read_within(owner, "/search?q=APP&project=shop")

    assert 'href="/projects/shop/workspaces/app"' in page
    assert 'href="/projects/shop/templates/app"' in page
    assert run_id in owner.read("/search?q=100%25 limit_of")
    assert run_id in owner.read(f"/search?q={run_id[:20]}")
    assert run_id not in owner.read("/search?q=limitXof"), "_ is no wildcard"
    assert 'href="/projects/shop"' in owner.read("/search?q=sho")


def test_what_was_looked_for_is_shown_harmlessly(owner: Visitor) -> None:
    page = owner.read("/search?q=%3Cscript%3E%E2%80%AE")

    assert "<script>\u202e" not in page
    assert "<script>\\u202e" in words(page) or "&lt;script&gt;\\u202e" in page
