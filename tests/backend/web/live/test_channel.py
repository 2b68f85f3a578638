"""The pages of a log that all viewers of a run share."""

from __future__ import annotations

from backend.web.live.channel import Channel, Seen

LOG = "a€".encode()[:-1]  # the run ended in the middle of a character


def seen(status: str) -> Seen:
    return Seen(status, len(LOG), b"{}", "", (), None)


def test_half_a_character_that_was_held_back_is_told_when_the_run_has_ended() -> None:
    channel = Channel("run", lambda offset, limit: LOG[offset : offset + limit])

    held_back = channel.page(1, seen("planning"))
    told = channel.page(1, seen("errored"))

    assert held_back is None
    assert told is not None
    assert (told.until, told.data) == (len(LOG), b'{"offset": 1, "until": 3, "text": "\\ufffd"}')
