"""A refused write is not lost: it is listed, and downloaded byte for byte."""

from __future__ import annotations

from tests.support.caller import Caller, refused
from tests.support.documents import state_document

STATE = "/api/terraform/state/shop/app"


def rescued_by_serial(boss: Caller) -> bytes:
    assert boss.call("POST", STATE, data=state_document(5, lineage="l")).status_code == 200
    late = state_document(4, lineage="l")
    assert boss.call("POST", STATE, data=late).status_code == 409
    return late


def test_a_refused_write_is_listed_with_its_reason(boss: Caller, app_workspace: str) -> None:
    rescued_by_serial(boss)

    items = boss.get(f"{app_workspace}/rescued").json["items"]

    assert [(i["reason"], i["serial"], i["lineage"]) for i in items] == [("serial-too-low", 4, "l")]


def test_a_refused_write_is_downloaded_as_it_arrived(boss: Caller, app_workspace: str) -> None:
    late = rescued_by_serial(boss)
    (item,) = boss.get(f"{app_workspace}/rescued").json["items"]

    answer = boss.get(f"{app_workspace}/rescued/{item['id']}/download")

    assert answer.data == late


def test_a_state_that_refused_nothing_has_none(boss: Caller, app_workspace: str) -> None:
    assert boss.get(f"{app_workspace}/rescued").json == {"items": []}
    refused(boss.get(f"{app_workspace}/rescued/rw_0/download"), 404, "not-found")


def test_a_stranger_sees_no_rescued_writes(
    boss: Caller, stranger: Caller, app_workspace: str
) -> None:
    rescued_by_serial(boss)
    (item,) = boss.get(f"{app_workspace}/rescued").json["items"]

    refused(stranger.get(f"{app_workspace}/rescued"), 404, "not-found")
    refused(stranger.get(f"{app_workspace}/rescued/{item['id']}/download"), 404, "not-found")
