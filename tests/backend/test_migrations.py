"""Every old schema, with rows in it, is migrated to the newest one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from backend import migrations
from backend.config import Settings
from backend.db import Database
from backend.migrations import history
from backend.models import Base, Run
from tests.support.postgres import Postgres

FIRST = {
    "projects": "id, name, description, known_hosts, accept_new_host_keys, created_at",
    "templates": "id, project_id, name, repository, path, tool, backend_mode, created_at",
    "workspaces": "id, project_id, template_id, name, created_at",
    "states": "id, project_id, workspace_id, current, created_at",
    "state_versions": "id, state_id, number, encrypted, size, md5, sha256, forced, created_by, "
    "created_at, key_id, wrapped_key",
    "audit_entries": "id, at, principal, action, object, detail",
}
ROWS = {
    "projects": "'p', 'shop', '', '', false, 1",
    "templates": "'t', 'p', 'app', 'https://git.example.com/a', '.', 'terraform', 'auto', 1",
    "workspaces": "'w', 'p', 't', 'app', 1",
    "states": "'s', 'p', 'w', 1, 1",
    "state_versions": "'v', 's', 1, false, 2, 'm', 'h', false, 'me', 1, 'k', 'w'",
    "audit_entries": "'a', 1, 'me', 'state.write', 's', '{}'",
}


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database with the first schema and a row in each table that matters."""
    url = ""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.create()
    database = Database(Settings(data_dir=tmp_path, database_url=url))
    with database.engine.begin() as connection:
        config = history.configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table, columns in FIRST.items():
            connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({ROWS[table]})"))
    yield database
    database.close()
    if url:
        server.drop(url)


def test_an_old_schema_with_its_rows_becomes_the_newest_one(old: Database) -> None:
    migrations.upgrade(old.engine)

    with old.engine.connect() as connection:
        for table in FIRST:
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 1
        found = connection.execute(text("SELECT pinned, removed_at FROM state_versions")).one()
        assert found == (False, None)
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []


def test_the_constraints_of_the_old_tables_still_hold(old: Database) -> None:
    migrations.upgrade(old.engine)

    assert refuses(old, "INSERT INTO workspaces (id, project_id, name, created_at) "
                        "VALUES ('w2', 'p', 'app', 1)")  # fmt: skip
    assert refuses(old, "INSERT INTO states (id, project_id, workspace_id, current, created_at) "
                        "VALUES ('s2', 'p', 'nobody', 0, 1)")  # fmt: skip
    assert not refuses(old, "INSERT INTO workspaces (id, project_id, name, created_at) "
                            "VALUES ('w3', 'p', 'without a template', 1)")  # fmt: skip


@pytest.mark.parametrize("change", ["UPDATE audit_entries SET principal = 'nobody'",
                                    "DELETE FROM audit_entries"])  # fmt: skip
def test_the_audit_log_is_only_ever_added_to(old: Database, change: str) -> None:
    migrations.upgrade(old.engine)

    assert refuses(old, change)


def test_the_imports_of_an_old_run_are_called_as_those_of_a_new_one(old: Database) -> None:
    columns = (
        "id, project_id, template_id, workspace_id, operation, status, blocking, message, epoch, "
        "attempts, force_cancel, changes, warnings, log_size, created_by, created_at"
    )
    rest = "'[]', 0, 'me', 1"
    with old.engine.begin() as connection:
        for run, changes in (("a", """'{"imported": 2, "add": 1}'"""), ("b", "NULL")):
            values = f"'{run}', 'p', 't', 'w', 'apply', 'applied', false, '', 1, 1, false"
            insert = f"INSERT INTO runs ({columns}) VALUES ({values}, {changes}, {rest})"
            connection.exec_driver_sql(insert)

    migrations.upgrade(old.engine)

    with old.reading() as db:
        assert {run.id: run.changes for run in db.scalars(select(Run))} == {
            "a": {"import": 2, "add": 1},
            "b": None,
        }


STATUSES = (
    *("queued", "preparing", "planning", "planned", "applying", "applied", "planned_and_finished"),
    *("discarded", "stale", "errored", "canceled", "lost"),
)


@pytest.mark.parametrize("operation", ["plan", "apply", "import-state"])
def test_runs_in_every_status_go_on_where_they_can(old: Database, operation: str) -> None:
    """From the last schema in which a run planned and applied in one breath."""
    upgrade_to(old, "0016")
    blocking = {"preparing", "planning", "planned", "applying", "lost"}
    with old.engine.begin() as connection:
        for status in STATUSES:
            connection.exec_driver_sql(
                "INSERT INTO workspaces (id, project_id, template_id, name, created_at) "
                f"VALUES ('w-{status}', 'p', 't', '{status}', 1)"
            )
            claimed = "'w1', 5" if status in blocking - {"lost"} else "NULL, NULL"
            connection.exec_driver_sql(
                "INSERT INTO runs (id, project_id, template_id, workspace_id, operation, status, "
                "blocking, message, epoch, attempts, force_cancel, worker, lease_expires_at, "
                "warnings, log_size, created_by, created_at) VALUES "
                f"('{status}', 'p', 't', 'w-{status}', '{operation}', '{status}', "
                f"{str(status in blocking).lower()}, '', 3, 1, false, "
                f"{claimed}, '[]', 0, 'me', 1)"
            )

    migrations.upgrade(old.engine)

    with old.reading() as db:
        runs = {run.id: run for run in db.scalars(select(Run))}
    now_queued = {"queued", "planned"}  # nothing had kept the plan
    assert {name: run.status for name, run in runs.items()} == {
        name: "queued" if name in now_queued else name for name in STATUSES
    }
    planned = runs["planned"]
    assert (planned.worker, planned.lease_expires_at, planned.epoch) == (None, None, 4)
    holding = set() if operation == "plan" else blocking - {"planned"}
    assert {name for name, run in runs.items() if run.blocking} == holding
    leased = {name for name, run in runs.items() if run.lease_expires_at is not None}
    assert leased == {"preparing", "planning", "applying"}
    assert not any(run.auto_approve or run.approved_at for run in runs.values())


def upgrade_to(old: Database, revision: str) -> None:
    anew = migrations._tables_may_be_made_anew
    with old.engine.connect() as connection, anew(connection), connection.begin():
        config = history.configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_upgrading_again_changes_nothing(old: Database) -> None:
    migrations.upgrade(old.engine)
    migrations.upgrade(old.engine)

    assert not refuses(old, "UPDATE states SET current = 1")


def refuses(database: Database, statement: str) -> bool:
    try:
        with database.engine.begin() as connection:
            connection.execute(text(statement))
    except DBAPIError:
        return True
    return False


def test_the_newest_version_is_the_last_one_that_alembic_finds() -> None:
    steps = ScriptDirectory.from_config(history.configuration())

    assert migrations.newest() == steps.get_current_head()
