"""/metrics: what there is, for who has the token, and nothing of what is gone."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from app import create_app
from backend.config import Settings
from backend.db import now
from backend.models import Run
from backend.runs import claims, workers
from backend.transactions import Installation
from backend.upkeep.reconciler import Reconciler
from backend.web import current
from tests.support.api import token_of
from tests.support.caller import Caller, refused
from tests.support.documents import lock_info, state_document

TOKEN = "a token for prometheus"
STATE = "/api/terraform/state/shop/app"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"metrics_token": TOKEN})


@pytest.fixture
def here(app: object) -> Installation:
    found: Installation = app.extensions[current.EXTENSION]  # type: ignore[attr-defined]
    return found


def measured(client: FlaskClient) -> dict[str, float]:
    """Every sample by its name and labels, as they are written."""
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200, answer.data
    assert answer.content_type.startswith("text/plain")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def of(found: dict[str, float], name: str) -> dict[str, float]:
    return {labels: value for labels, value in found.items() if re.match(name + r"(\{|$)", labels)}


def test_only_its_own_token_opens_the_metrics(client: FlaskClient, admin: str) -> None:
    for given in ({}, {"Authorization": f"Bearer {admin}"}, {"Authorization": "Bearer x"}):
        refused(client.get("/metrics", headers=given), 401, "unauthorised")
    refused(Caller(client, TOKEN).get("/projects"), 401, "unauthorised")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_without_a_token_in_the_settings_there_are_no_metrics(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"metrics_token": ""}))
    boss = Caller(app.test_client(), token_of(settings.data_dir))

    refused(boss.call("GET", "/api/../metrics"), 404, "not-found")
    assert app.test_client().get("/metrics").status_code == 404

    app.extensions[current.EXTENSION].database.close()


def test_runs_are_counted_by_status_and_the_queue_has_an_age(
    boss: Caller, app_workspace: str, here: Installation, client: FlaskClient
) -> None:
    before = measured(client)
    run = boss.made("/projects/shop/runs", {"workspace": "app", "operation": "plan"})
    with here.database.transaction() as db:
        db.execute(
            update(Run).where(Run.id == run["id"]).values(created_at=now(-timedelta(hours=1)))
        )

    found = measured(client)

    assert before['stateroom_runs{status="queued"}'] == 0
    assert before["stateroom_queue_oldest_seconds"] == 0
    assert found['stateroom_runs{status="queued"}'] == 1
    assert found["stateroom_queue_oldest_seconds"] >= 3600
    assert app_workspace


def test_a_run_that_ended_is_in_the_histogram_of_its_operation_and_status(
    boss: Caller, app_workspace: str, here: Installation, client: FlaskClient
) -> None:
    run = boss.made("/projects/shop/runs", {"workspace": "app", "operation": "plan"})
    ended = {"status": "errored", "started_at": now(-timedelta(seconds=20)), "finished_at": now()}
    with here.database.transaction() as db:
        db.execute(update(Run).where(Run.id == run["id"]).values(ended))

    found = of(measured(client), "stateroom_run_duration_seconds_bucket")

    labels = 'operation="plan",status="errored"'
    at = {name: value for name, value in found.items() if labels in name}
    assert [at[f'stateroom_run_duration_seconds_bucket{{le="{le}",{labels}}}'] for le in (
        "15.0", "30.0", "14400.0", "+Inf",
    )] == [0, 1, 1, 1]  # fmt: skip
    total = measured(client)[f"stateroom_run_duration_seconds_sum{{{labels}}}"]
    assert round(total) == 20
    assert app_workspace


def test_a_lock_is_listed_until_it_is_released(
    boss: Caller, app_workspace: str, client: FlaskClient
) -> None:
    name = 'stateroom_lock_age_seconds{holder="client",project="shop",workspace="app"}'
    taken = boss.call("LOCK", STATE, json=lock_info("one"))

    held = of(measured(client), "stateroom_lock_age_seconds")
    boss.call("UNLOCK", STATE, json=lock_info("one"))
    released = of(measured(client), "stateroom_lock_age_seconds")

    assert taken.status_code == 200
    assert [*held] == [name]
    assert released == {}
    assert app_workspace


def test_rescued_writes_are_listed_until_they_are_decided(
    boss: Caller, app_workspace: str, client: FlaskClient
) -> None:
    boss.call("POST", STATE, data=state_document(5, lineage="l"))
    boss.call("POST", STATE, data=state_document(4, lineage="l"))

    waiting = of(measured(client), "stateroom_rescued_writes_undecided")
    [kept] = boss.get(f"{app_workspace}/rescued").json["items"]
    boss.post(f"{app_workspace}/rescued/{kept['id']}/dismiss")

    assert [*waiting.values()] == [1]
    assert of(measured(client), "stateroom_rescued_writes_undecided") == {}


def test_a_full_history_is_listed_with_its_bytes(
    boss: Caller, app_workspace: str, here: Installation, client: FlaskClient
) -> None:
    boss.call("POST", STATE, data=state_document(5, lineage="l"))
    assert of(measured(client), "stateroom_full_history_bytes") == {}
    few = here.settings.model_copy(update={"max_history_bytes": 1})

    Reconciler(replace(here, settings=few)).prune()

    [(name, size)] = of(measured(client), "stateroom_full_history_bytes").items()
    assert (name.count("shop"), name.count("app"), size) == (
        1,
        1,
        len(state_document(5, lineage="l")),
    )
    assert app_workspace


def test_a_worker_is_listed_until_it_leaves(
    boss: Caller, app_workspace: str, here: Installation, client: FlaskClient
) -> None:
    run = boss.made("/projects/shop/runs", {"workspace": "app", "operation": "plan"})
    with here.itself.transaction() as tx:
        workers.beat(tx, "w1", workers.Abilities(4, "namespaces"))
        claims.claim(tx, run["id"], "w1", timedelta(seconds=30))
    found = measured(client)

    with here.itself.transaction() as tx:
        workers.beat(tx, "w1", workers.Abilities(4, "namespaces"))
        workers.leave(tx, "w1")

    assert found['stateroom_worker_slots{worker="w1"}'] == 4
    assert found['stateroom_worker_runs{worker="w1"}'] == 1
    assert of(found, "stateroom_worker_last_seen_seconds")
    assert not [name for name in measured(client) if "w1" in name]
    assert app_workspace


def test_requests_are_counted_by_route_method_and_status(
    boss: Caller, app_workspace: str, client: FlaskClient
) -> None:
    boss.get(app_workspace)
    boss.call("GET", STATE)
    boss.call("POST", STATE, data=state_document(1))
    boss.call("LOCK", f"{STATE}/lock", json=lock_info("one"))
    boss.call("GET", "/api/terraform/nobody/at/all/of/these")
    client.get("/nothing/here")
    client.open("/healthz", method="BREW")

    found = of(measured(client), "stateroom_http_requests_total")

    at = "/api/terraform/state/<project>/<workspace>"
    for method, route, status in (
        ("GET", "/api/v1/projects/<project>/workspaces/<workspace>", 200),
        ("GET", at, 404),
        ("POST", at, 200),
        ("LOCK", f"{at}/lock", 200),
        ("GET", "/api/terraform/<unknown>", 403),
        ("GET", "unmatched", 404),
        ("other", "unmatched", 405),
    ):
        labels = f'method="{method}",route="{route}",status="{status}"'
        assert found[f"stateroom_http_requests_total{{{labels}}}"] == 1, labels


def test_the_key_that_seals_has_an_age(client: FlaskClient) -> None:
    found = measured(client)

    assert len(of(found, "stateroom_sealing_key_age_seconds")) == 1
    assert found["stateroom_keyring_keys"] == 1
