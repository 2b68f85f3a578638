"""The OpenAPI document, compared with the answers of the server."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import validate

from tests.support.caller import Caller
from tests.support.databases import one_database

EXAMPLES = 4  # of each route
PARTS = 4  # of the document: all of it takes too long for one test on a busy machine
OPEN = {"/api/login", "/api/v1/login"}  # where tokens come from
PLACES = {"project": "shop", "workspace": "app", "template": "app"}


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/v1/openapi.json").json  # type: ignore[assignment]
    return found


@one_database
def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    validate(document)

    assert document["openapi"].startswith("3.1")
    assert set(document["components"]["securitySchemes"]) == {"bearer", "basic"}


@one_database
def test_the_document_has_every_route_and_no_other(app: Flask, document: dict[str, Any]) -> None:
    served = {
        (re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("api-") and rule.methods
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }

    described = {(path, verb) for path, item in document["paths"].items() for verb in item}

    assert described == served


@one_database
def test_every_answer_is_described(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for verb, operation in item.items():
            statuses = set(operation["responses"])
            assert statuses >= {"401", "403", "422", "503"}, (path, verb)
            assert operation["summary"]
            if path not in OPEN:
                assert "404" in statuses, (path, verb)
                assert operation["security"]
    names = [o["operationId"] for item in document["paths"].values() for o in item.values()]
    assert len(set(names)) == len(names)


@pytest.fixture
def described(app: Flask, boss: Caller, app_workspace: str) -> Any:
    """The document, with a workspace to be asked for."""
    import schemathesis  # noqa: PLC0415 it takes seconds, and every pytest worker loads this file

    found = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
    found.config.update(parameters=PLACES)
    found.config.generation.update(with_security_parameters=False)
    found.config.phases.update(phases=["examples", "fuzzing"])
    return found


@one_database
@pytest.mark.parametrize("part", range(PARTS))
def test_the_server_keeps_what_the_document_says(described: Any, boss: Caller, part: int) -> None:
    operations = [found.ok() for found in described.get_all_operations()][part::PARTS]
    for operation in sorted(operations, key=lambda asked: asked.method == "delete"):
        _ask(operation, {"Authorization": f"Bearer {boss.token}"})


def _ask(operation: Any, token: dict[str, str]) -> None:
    from schemathesis.checks import positive_data_acceptance  # noqa: PLC0415 as above

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        # what a repository or a host key may look like says the refusal, not the schema
        case.call_and_validate(headers=token, excluded_checks=[positive_data_acceptance])

    ask()
