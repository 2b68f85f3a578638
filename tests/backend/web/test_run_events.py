"""The events of a run for its viewers, in this process."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from app import create_app
from backend.config import Settings
from backend.models import Run
from backend.runs import claims, logs, moves, steps
from backend.runs.steps import Event as StepEvent
from backend.transactions import Transaction
from backend.web.live import access, entrance, viewer
from backend.web.live.channel import PAGE_BYTES
from tests.support.api import token_of
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.people import new_person
from tests.support.sse import Event, events, log_in


class Watched:
    """A run in the queue, and what a worker would write of it."""

    def __init__(self, app: Flask, boss: Caller, project: str) -> None:
        self._here = app.extensions["stateroom"]
        self.boss = boss
        self.id = boss.made(f"{project}/runs", {"operation": "plan"})["id"]
        self.where = f"{project}/runs/{self.id}"

    @contextmanager
    def telling(self) -> Iterator[Transaction]:
        with self._here.itself.transaction() as tx:
            yield replace(tx, principal=claims.itself(tx.db.get_one(Run, self.id)))

    def say(self, text: bytes) -> None:
        with self.telling() as tx:
            logs.append(tx, text)

    def step(self, name: str, position: int, **ended: Any) -> None:
        with self.telling() as tx:
            steps.record(tx, [StepEvent(name, position, 0.0, **ended)])

    def move(self, *statuses: str) -> None:
        for status in statuses:
            with self.telling() as tx:
                moves.move(tx, tx.db.get_one(Run, self.id), status)

    def follow(
        self, by: Caller | None = None, after: str = "", **query: object
    ) -> Generator[Event]:
        headers = {"Last-Event-ID": after} if after else {}
        answer = (by or self.boss).call(
            "GET", f"{self.where}/events", query_string=query, headers=headers
        )
        assert answer.status_code == 200, answer.get_data(as_text=True)
        try:
            yield from events(answer.response)
        finally:
            answer.close()


@pytest.fixture
def run(app: Flask, boss: Caller, shop: str) -> Watched:
    return Watched(app, boss, shop)


def names(told: list[Event]) -> list[str]:
    return [event.name for event in told]


def test_a_run_is_followed_from_the_queue_to_its_end(run: Watched) -> None:
    following = run.follow()

    queued = next(following)
    run.move("preparing")
    run.step("clone", 1)
    begun = [next(following), next(following)]
    run.say("größe: 3\n".encode())
    said = next(following)
    run.step("clone", 1, ended=1.0, status="done", detail={"commit": "c"})
    cloned = next(following)
    run.say(b"bye\n")
    run.move("planning", "planned_and_finished")
    rest = list(following)

    assert (queued.name, queued.data["status"]) == ("status", "queued")
    assert queued.data["workspace"]["name"] == "app"
    assert {event.name for event in begun} == {"status", "step"}
    assert said.data == {"offset": 0, "until": 11, "text": "größe: 3\n"}
    assert (cloned.data["name"], cloned.data["detail"]) == ("clone", {"commit": "c"})
    assert names(rest)[-2:] == ["status", "end"]
    assert rest[-1].data == {"status": "planned_and_finished", "log_size": 15}
    assert log_in([said, *rest]) == "größe: 3\nbye\n"


def test_a_viewer_that_comes_back_gets_each_part_once(run: Watched) -> None:
    run.move("preparing")
    run.step("clone", 1, ended=1.0, status="done")
    run.say(b"one\n")
    following = run.follow()
    first = [next(following), next(following)]
    following.close()
    run.say(b"two\n")
    run.step("detect", 2, ended=1.0, status="done")
    run.move("errored")

    second = list(run.follow(after=first[-1].id))
    third = run.boss.call("GET", f"{run.where}/events", headers={"Last-Event-ID": second[-1].id})

    assert names(first) == ["step", "log"]
    assert names(second) == ["step", "log", "status", "end"]
    assert [event.data["name"] for event in [*first, *second] if event.name == "step"] == [
        "clone",
        "detect",
    ]
    assert log_in([*first, *second]) == "one\ntwo\n"
    assert third.status_code == 204


def test_after_each_event_of_a_stream_the_rest_of_it_is_told_and_no_more(run: Watched) -> None:
    run.move("preparing")
    for position in range(3):
        run.step(f"step{position}", position, ended=1.0, status="done")
        run.say(b"x" * PAGE_BYTES)
    run.move("errored")
    whole = list(run.follow())

    for place, event in enumerate(whole[:-1], 1):
        rest = list(run.follow(after=event.id))
        assert [(told.name, told.data) for told in rest] == [
            (told.name, told.data) for told in whole[place:]
        ]


def test_another_server_process_goes_on_where_the_first_one_was(
    run: Watched, settings: Settings, shop: str
) -> None:
    run.move("preparing")
    run.say(b"one\n")
    following = run.follow()
    first = [next(following), next(following)]
    following.close()

    other = create_app(settings)
    try:
        there = Caller(other.test_client(), token_of(settings.data_dir))
        run.say(b"two\n")
        run.move("errored")
        second = list(run.follow(by=there, after=first[-1].id))
    finally:
        other.extensions["stateroom"].database.close()

    assert names(second) == ["log", "status", "end"]
    assert log_in([*first, *second]) == "one\ntwo\n"


@one_database
def test_a_long_log_comes_in_pieces_that_cut_no_character(run: Watched) -> None:
    text = "x" + "ä€𝄞" * 20_000
    run.move("preparing")
    for begin in range(0, len(text.encode()), 50_000):
        run.say(text.encode()[begin : begin + 50_000])
    run.move("errored")

    told = list(run.follow())

    assert log_in(told) == text
    assert len([event for event in told if event.name == "log"]) == 3
    assert max(len(event.data["text"].encode()) for event in told if event.name == "log") < 70_000


@one_database
def test_half_a_character_is_told_when_it_is_whole_or_the_run_has_ended(run: Watched) -> None:
    run.move("preparing")
    run.say("a€".encode()[:-1])
    following = run.follow()
    told = [next(following), next(following)]
    run.say("€b".encode()[-2:])
    told.append(next(following))
    run.say("€".encode()[:1])
    run.move("errored")

    assert [event.data.get("text") for event in told] == ["a", None, "€b"]
    assert log_in([*told, *following]) == "a€b\ufffd"


@one_database
def test_the_log_is_told_from_an_offset_on(run: Watched) -> None:
    run.move("preparing")
    run.say(b"one\ntwo\n")
    run.move("errored")

    assert log_in(run.follow(offset=4)) == "two\n"


@one_database
@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"Last-Event-ID": "nonsense"}, {}),
        ({"Last-Event-ID": "999-0--"}, {}),
        ({}, {"offset": 999}),
    ],
)
def test_an_event_of_another_run_is_none_to_go_on_from(
    run: Watched, headers: dict[str, str], query: dict[str, int]
) -> None:
    answer = run.boss.call("GET", f"{run.where}/events", headers=headers, query_string=query)

    refused(answer, 422, "event-id-unknown")


@one_database
def test_a_wrong_offset_is_refused(run: Watched) -> None:
    refused(run.boss.get(f"{run.where}/events", offset=-1), 422, "invalid-request")


@one_database
def test_events_are_for_those_who_may_see_the_run(
    run: Watched, boss: Caller, stranger: Caller
) -> None:
    planner = boss.with_scopes("runs:create", project="shop")

    refused(stranger.get(f"{run.where}/events"), 404, "not-found")
    refused(planner.get(f"{run.where}/events"), 403, "scope-missing")
    refused(boss.get("/projects/shop/runs/run_nothing/events"), 404, "not-found")


@one_database
def test_head_tells_what_get_would_be_and_follows_nothing(run: Watched, app: Flask) -> None:
    answer = run.boss.call("HEAD", f"{run.where}/events")

    assert answer.status_code == 200
    assert answer.content_type == "text/event-stream; charset=utf-8"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert app.extensions["stateroom-live"].viewers == 0


@one_database
def test_a_range_of_events_is_all_of_them(run: Watched) -> None:
    run.move("canceled")

    answer = run.boss.call("GET", f"{run.where}/events", headers={"Range": "bytes=0-9"})

    assert answer.status_code == 200
    assert names(list(events(answer.response))) == ["status", "end"]


@one_database
def test_a_silent_run_is_heard_to_be_connected(
    run: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer, "BEAT_SECONDS", 0.05)
    answer = run.boss.get(f"{run.where}/events")
    said = b""
    for piece in answer.response:
        said += piece
        if said.count(viewer.BEAT) == 2:
            break
    answer.close()

    assert said.startswith(b"retry: 2000\n\n")


def test_a_viewer_whose_token_is_revoked_is_told_so_and_no_more(
    run: Watched, boss: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "CHECK_SECONDS", 0.0)
    guest = boss.with_scopes("runs:read", project="shop")
    [token] = [
        one["id"] for one in boss.get("/projects/shop/tokens").json["items"] if one["name"] != "ci"
    ]
    following = run.follow(by=guest)
    next(following)
    boss.delete(f"/projects/shop/tokens/{token}")
    run.move("preparing")
    run.say(b"secret\n")

    told = list(following)

    assert names(told) == ["problem"]
    assert (told[0].data["status"], told[0].data["code"]) == (401, "unauthorised")
    refused(guest.get(f"{run.where}/events"), 401, "unauthorised")


@one_database
def test_a_viewer_who_left_the_project_is_told_no_more(
    run: Watched, boss: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "CHECK_SECONDS", 0.0)
    ann = new_person(boss, shop="guest")
    following = run.follow(by=ann)
    next(following)
    [member] = boss.get("/projects/shop/members").json["items"]
    boss.delete(f"/projects/shop/members/{member['name']}")
    run.move("canceled")

    told = list(following)

    assert [(event.name, event.data["status"]) for event in told] == [("problem", 404)]


@one_database
def test_one_token_leaves_half_of_the_streams_to_others(
    settings: Settings, run: Watched, boss: Caller
) -> None:
    few = create_app(settings.model_copy(update={"max_viewers": 3}))
    try:
        here = Caller(few.test_client(), boss.token)
        others = [replace(boss.with_scopes("runs:read"), client=here.client) for _ in range(2)]
        open_ones = [here.get(f"{run.where}/events") for _ in range(2)]

        refused(here.get(f"{run.where}/events"), 429, "too-many-viewers")
        open_ones.append(others[0].get(f"{run.where}/events"))
        full = others[1].get(f"{run.where}/events")
        refused(full, 503, "too-many-viewers")
        for one in open_ones:
            one.close()
        again = here.get(f"{run.where}/events")
        again.close()
    finally:
        few.extensions["stateroom"].database.close()

    assert [one.status_code for one in open_ones] == [200, 200, 200]
    assert full.headers["Retry-After"] == "2"
    assert again.status_code == 200


@one_database
def test_only_events_wait_for_their_turn(
    settings: Settings, run: Watched, boss: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrance, "AT_ONCE", 0)
    monkeypatch.setattr(entrance, "WAIT_SECONDS", 0.01)
    closed = create_app(settings)
    try:
        here = Caller(closed.test_client(), boss.token)

        refused(here.get(f"{run.where}/events"), 503, "busy")
        refused(here.get(f"{run.where}/events/"), 503, "busy")
        beside = here.get(run.where)
    finally:
        closed.extensions["stateroom"].database.close()

    assert beside.status_code == 200


@one_database
def test_many_viewers_read_the_database_as_often_as_one(
    run: Watched, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    database = app.extensions["stateroom"].database
    reading = database.reading

    @contextmanager
    def counted() -> Iterator[Any]:
        nonlocal asked
        asked += 1
        with reading() as db:
            yield db

    run.move("preparing")
    run.say(b"x" * PAGE_BYTES * 3)
    following = [run.follow() for _ in range(50)]
    for one in following:
        next(one)
    object.__setattr__(database, "reading", counted)
    # the log that is there, of which the first viewer reads each page
    for one in following:
        for _ in range(3):
            next(one)
    object.__setattr__(database, "reading", reading)
    for one in following:
        one.close()

    assert asked < 30  # three pages, and what the reader has looked at meanwhile
