"""Random conversations with one state, against the model of the protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase
from hypothesis import settings as how
from hypothesis.stateful import run_state_machine_as_test

from app import create_app
from backend.config import Settings
from tests.support.api import token_of
from tests.support.place import Place
from tests.support.protocol_machine import Conversation
from tests.support.stateroom import Stateroom
from tests.support.wire import Answer, Application, Body


class Reborn:
    """The application in this process. When it dies, another one is made over what is stored."""

    def __init__(self, configuration: Settings) -> None:
        self.url = configuration.url
        self._settings = configuration
        self._applications: list[Application] = []
        self.die()

    def send(self, verb: str, path: str, body: Body = None, headers: Any = None) -> Answer:
        return self._applications[-1].send(verb, path, body, headers)

    def die(self) -> None:
        app: Flask = create_app(self._settings)
        self._applications.append(Application(app, self.url))

    def close(self) -> None:
        for application in self._applications:
            application.close()


@pytest.fixture
def reborn(settings: Settings) -> Iterator[Reborn]:
    wire = Reborn(settings)
    yield wire
    wire.close()


def test_whatever_clients_say_the_server_answers_as_the_protocol_has_it(
    reborn: Reborn, settings: Settings
) -> None:
    place = Place(reborn, token_of(settings.data_dir), settings)

    converse(place, reborn.die, conversations=8, length=25)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_a_server_that_is_killed_again_and_again_forgets_nothing_it_answered(
    new_stateroom: Callable[..., Stateroom], database: str
) -> None:
    installation = new_stateroom(database_url=database).start(workers=0)

    converse(installation.place(), restarting(installation), conversations=1, length=8)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_a_long_campaign_of_conversations_and_deaths_loses_nothing(
    new_stateroom: Callable[..., Stateroom], database: str
) -> None:
    installation = new_stateroom(database_url=database).start(workers=0)

    converse(installation.place(), restarting(installation), conversations=30, length=40)


def restarting(installation: Stateroom) -> Callable[[], None]:
    def crash() -> None:
        installation.kill_server()
        installation.start_server()

    return crash


def converse(place: Place, crash: Callable[[], None], *, conversations: int, length: int) -> None:
    run_state_machine_as_test(
        lambda: Conversation(place, crash),  # type: ignore[arg-type]  # any factory does
        settings=settings_of(conversations, length),
    )


def settings_of(conversations: int, length: int) -> how:
    return how(
        max_examples=conversations,
        stateful_step_count=length,
        deadline=None,
        phases=[Phase.generate],  # a conversation is short; to make it shorter takes minutes
        database=None,
        suppress_health_check=list(HealthCheck),
    )
