"""The identity of a backend: the same for one state, however it is written."""

from __future__ import annotations

from typing import Any

import pytest

from runner.detection import identity

PG = "postgres://ann:hunter2@DB.example.com/states?sslmode=disable"


def of(kind: str, environment: dict[str, str] | None = None, **config: Any) -> str | None:
    return identity.of({"type": kind, "config": config}, environment or {})


SAME: dict[str, list[tuple[str, dict[str, str], dict[str, Any]]]] = {
    "s3 bucket=b key=k": [
        ("s3", {}, {"bucket": "b", "key": "k", "region": "eu-central-1", "profile": "prod"}),
        ("s3", {}, {"bucket": "b", "key": "k", "endpoints": {"s3": "https://s3.amazonaws.com"}}),
    ],
    "s3 endpoint=minio.example.com bucket=b key=k": [
        ("s3", {}, {"bucket": "b", "key": "k", "endpoints": {"s3": "https://MinIO.example.com"}}),
        ("s3", {}, {"bucket": "b", "key": "k", "endpoint": "https://minio.example.com:443"}),
        ("s3", {"AWS_ENDPOINT_URL": "https://minio.example.com"}, {"bucket": "b", "key": "k"}),
    ],
    "http address=https://git.example.com/api/v4/state/a": [
        ("http", {}, {"address": "https://git.example.com/api/v4/state/a", "username": "x"}),
        ("http", {}, {"address": "HTTPS://ann:pw@Git.Example.com:443/api/v4/state/a"}),
        ("http", {"TF_HTTP_ADDRESS": "https://git.example.com/api/v4/state/a"}, {}),
    ],
    "pg host=db.example.com port=5432 database=states schema=net": [
        ("pg", {}, {"conn_str": PG, "schema_name": "net"}),
        ("pg", {"PG_CONN_STR": "postgresql://db.example.com:5432/states"}, {"schema_name": "net"}),
        ("pg", {"PGHOST": "db.example.com", "PGDATABASE": "states"}, {"schema_name": "net"}),
        ("pg", {}, {"conn_str": "host=db.example.com dbname=states", "schema_name": "net"}),
    ],
    "pg host=127.0.0.1 port=5432 database=states schema=terraform_remote_state": [
        ("pg", {}, {"conn_str": "postgres://localhost/states"}),
        ("pg", {}, {"conn_str": "postgres://127.0.0.1/states", "schema_name": ""}),
    ],
    "hcp host=app.terraform.io organization=o workspace=w": [
        ("cloud", {}, {"organization": "o", "workspaces": {"name": "w", "tags": None}}),
        ("remote", {}, {"organization": "o", "workspaces": [{"name": "w", "prefix": None}]}),
        ("cloud", {"TF_CLOUD_ORGANIZATION": "o"}, {"workspaces": [{"name": "w"}]}),
    ],
    "gcs bucket=b prefix=p": [("gcs", {}, {"bucket": "b", "prefix": "p", "credentials": "x"})],
    "azurerm environment=public storage_account_name=a container_name=c key=k": [
        (
            "azurerm",
            {},
            {"storage_account_name": "a", "container_name": "c", "key": "k", "access_key": "x"},
        ),
    ],
    "later address=x count=2": [
        ("later", {}, {"count": 2, "address": "x", "password": "hunter2", "token": "t", "b": ""}),
    ],
}


@pytest.mark.parametrize("expected", SAME)
def test_one_state_has_one_identity_however_it_is_written(expected: str) -> None:
    for kind, environment, config in SAME[expected]:
        assert of(kind, environment, **config) == expected


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("s3", {"bucket": "b", "key": "k"}, {"bucket": "b", "key": "other"}),
        ("s3", {"bucket": "b", "key": "k"}, {"bucket": "other", "key": "k"}),
        ("http", {"address": "https://h/a?x=1"}, {"address": "https://h/a?x=2"}),
        ("http", {"address": "https://h/a"}, {"address": "https://h:8443/a"}),
        ("pg", {"conn_str": PG, "schema_name": "a"}, {"conn_str": PG, "schema_name": "b"}),
        ("s3", {"bucket": "b", "key": "k" * 300 + "1"}, {"bucket": "b", "key": "k" * 300 + "2"}),
    ],
)
def test_another_state_has_another_identity(
    kind: str, one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert of(kind, **one) != of(kind, **other)


@pytest.mark.parametrize("kind", ["local", "inmem"])
def test_a_state_that_no_other_run_can_reach_has_none(kind: str) -> None:
    assert of(kind, path="x") is None
    assert identity.of({}, {}) is None


def test_nothing_secret_and_nothing_unprintable_is_in_it() -> None:
    hostile = [
        of("pg", conn_str=PG),
        of("http", address="https://ann:hunter2@h/a?token=hunter2"),
        of("pg", conn_str="postgres://ann:hunter2@[broken/x"),
        of("pg", conn_str="host='hunter2 "),
        of("http", address="http://[hunter2"),
        of("s3", bucket="b\x1b[2J", key="k\n" * 2000),
    ]

    for found in hostile:
        assert found is not None
        assert "hunter2" not in found
        assert found.isprintable()
        assert len(found) < 300
