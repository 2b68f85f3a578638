"""The bell in a folder: a message wakes who waits for it, and no message is lost."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from backend import environ, folder_bell
from backend.broker import QUEUE, Bell, celery_app
from backend.config import Settings
from backend.folder_bell import Ear

LONG = 60.0  # seconds that no test waits for


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return environ.load({}, data_dir=tmp_path)


@contextmanager
def listening(settings: Settings) -> Iterator[tuple[Any, list[str]]]:
    """A consumer, and the ids of the runs that it was rung for."""
    heard: list[str] = []

    def hear(body: Any, _message: Any) -> None:
        heard.append(body[0][0])

    app = celery_app(settings)
    with (
        app.connection_for_read() as connection,
        app.amqp.TaskConsumer(connection.default_channel, callbacks=[hear], no_ack=True),
    ):
        yield connection, heard


def test_an_ear_hears_what_was_rung_before_it_waited(tmp_path: Path) -> None:
    ear = Ear(tmp_path)

    folder_bell.ring(tmp_path)
    folder_bell.ring(tmp_path)

    assert ear.wait(LONG)
    assert not ear.wait(0)
    ear.close()


def test_every_ear_hears_every_ring(tmp_path: Path) -> None:
    ears = [Ear(tmp_path) for _ in range(3)]

    folder_bell.ring(tmp_path)

    assert all(ear.wait(LONG) for ear in ears)
    for ear in ears:
        ear.close()


def test_the_pipe_of_a_dead_process_is_removed(tmp_path: Path) -> None:
    ear = Ear(tmp_path)
    dead = Ear(tmp_path)
    os.close(dead._pipe)  # what the kernel does for a killed process

    folder_bell.ring(tmp_path)

    assert ear.wait(LONG)
    assert len(list((tmp_path / folder_bell.PIPES).iterdir())) == 1
    ear.close()


def test_nobody_listens_and_ringing_is_harmless(tmp_path: Path) -> None:
    folder_bell.ring(tmp_path)


def test_a_full_pipe_does_not_hold_the_ringer_up(tmp_path: Path) -> None:
    ear = Ear(tmp_path)

    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(ear._pipe, bytes(4096))

    folder_bell.ring(tmp_path)

    assert ear.wait(LONG)
    ear.close()


def test_a_ring_reaches_the_consumer(settings: Settings) -> None:
    bell = Bell(settings)
    with listening(settings) as (connection, heard):
        bell.ring("run_1", "default")
        bell.ring("run_2", "default")

        connection.drain_events(timeout=LONG)
        connection.drain_events(timeout=LONG)

    assert sorted(heard) == ["run_1", "run_2"]
    assert list((settings.bell_dir / folder_bell.PIPES).iterdir()) == []


def test_what_was_rung_before_anybody_listened_is_heard_later(settings: Settings) -> None:
    Bell(settings).ring("run_1", "default")

    with listening(settings) as (connection, heard):
        connection.drain_events(timeout=LONG)

    assert heard == ["run_1"]


def test_half_a_message_is_not_taken_for_a_whole_one(settings: Settings) -> None:
    settings.bell_dir.mkdir(parents=True)
    (settings.bell_dir / f"1_half.{QUEUE}.msg.unfinished").write_text('{"bo')

    with listening(settings) as (connection, heard), pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.1)

    assert heard == []


def test_a_folder_without_named_pipes_is_looked_into(settings: Settings) -> None:
    settings.bell_dir.mkdir(parents=True)
    (settings.bell_dir / folder_bell.PIPES).touch()  # no folder for them can be made

    with listening(settings) as (connection, heard):
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.1)
        Bell(settings).ring("run_1", "default")
        connection.drain_events(timeout=LONG)

    assert heard == ["run_1"]
