from __future__ import annotations

import json

import pytest

from runner.errors import TransferError
from runner.recipes.pulled import Pulled, parse

STATE = {
    "version": 4,
    "terraform_version": "1.11.4",
    "serial": 3,
    "lineage": "one",
    "outputs": {"x": {"value": 1, "type": "number"}},
    "resources": [],
    "check_results": None,
}


def pulled(**changes: object) -> Pulled:
    found = parse(json.dumps(STATE | changes).encode())
    assert found is not None
    return found


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\n",
        json.dumps(STATE | {"serial": 0, "lineage": "", "outputs": {}}).encode(),
    ],
)
def test_a_state_that_was_never_written_is_none(said: bytes) -> None:
    assert parse(said) is None


@pytest.mark.parametrize(
    "said", [b"{", b"[]", b'"x"', b'{"serial": "x"}', b'{"lineage": 1}', b"[" * 100_000]
)
def test_what_is_no_state_is_said(said: bytes) -> None:
    with pytest.raises(TransferError) as refused:
        parse(said)

    assert refused.value.code == "not-a-state"


def test_a_destroyed_state_is_a_state_and_empty() -> None:
    assert not pulled(outputs={}).holds_something
    assert pulled().holds_something


def test_a_state_that_opentofu_encrypted_holds_something_unknown() -> None:
    body = {"serial": 1, "lineage": "one", "meta": {}, "encrypted_data": "x"}
    found = parse(json.dumps(body).encode())

    assert found is not None
    assert found.encrypted
    assert found.holds_something


def test_serial_lineage_and_the_tools_version_do_not_count_as_content() -> None:
    other = pulled(serial=9, lineage="two", terraform_version="1.6.6")

    assert other.holds_the_same(pulled())
    assert not other.is_same(pulled())
    assert pulled(check_results=[]).is_same(pulled())
    assert not pulled(outputs={}).holds_the_same(pulled())


def test_what_a_state_holds_is_in_no_message() -> None:
    assert "number" not in repr(pulled())
