"""The one reader of this process: it looks at all runs that somebody watches, in one query.

Its cost depends on how many runs are watched, and not on how many watch them.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import structlog

from backend.errors import Error, NotFound, Throttled, Unavailable
from backend.models import Run
from backend.runs import logs, watching
from backend.runs.watching import Mark
from backend.transactions import Installation, Transaction
from backend.web.live.channel import Channel, Seen
from backend.web.live.places import Place
from backend.web.live.viewer import Viewer

LOOK_SECONDS = 0.25  # at runs at work
WAITING_LOOK_SECONDS = 1.0  # at runs that wait for something, and after a failure
RELOOK_SECONDS = 5.0  # also at what the row of the run does not tell
AT_ONCE = 16  # viewers that are woken before other requests have their turn
TRY_AGAIN_SECONDS = 10.0
_MORE = (
    "An administrator can raise STATEROOM_MAX_VIEWERS. Asking for the run and its log again and "
    "again tells the same."
)

Look = Callable[[Transaction, Run], Seen]
log = structlog.get_logger()


class Hub:
    def __init__(self, here: Installation, look: Look) -> None:
        self._here, self._look = here, look
        self._most = here.settings.max_viewers
        self._most_of_token = -(-self._most // 2)
        self._mutex = threading.Lock()
        self._channels: dict[str, Channel] = {}
        self._viewers: dict[Viewer, None] = {}
        self._of_token: Counter[str] = Counter()
        self._is_reading = False
        self._joined = threading.Event()

    @property
    def viewers(self) -> int:
        """How many there are in this process."""
        return len(self._viewers)

    def join(self, run_id: str, token_id: str, place: Place, ask: Callable[[], None]) -> Viewer:
        """A viewer of a run, for who may see it now. It has to `leave`.

        `ask` raises an error once the token may no longer see the run. Raises Unavailable and
        Throttled when there are too many viewers, of all or of this token.
        """
        with self._mutex:
            self._refuse_too_many(token_id)
            channel = self._channels.get(run_id)
            if channel is None:
                channel = self._channels[run_id] = Channel(run_id, self._log_of(run_id))
            viewer = Viewer(channel, channel.access(token_id, ask), place, token_id)
            channel.wakers[viewer.woken] = None
            self._viewers[viewer] = None
            self._of_token[token_id] += 1
            is_first, self._is_reading = not self._is_reading, True
        self._joined.set()
        if is_first:
            threading.Thread(target=self._read, daemon=True, name="live").start()
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer. Harmless when it has left already."""
        with self._mutex:
            if viewer not in self._viewers:
                return
            del self._viewers[viewer]
            del viewer.channel.wakers[viewer.woken]
            self._of_token[viewer.token_id] -= 1
            if not self._of_token[viewer.token_id]:
                del self._of_token[viewer.token_id]
            if not viewer.channel.wakers:
                del self._channels[viewer.channel.run_id]

    def _refuse_too_many(self, token_id: str) -> None:
        if len(self._viewers) >= self._most:
            raise Unavailable(
                f"This server process has {self._most} streams of events open, as many as it may. "
                f"{_MORE}",
                code="too-many-viewers",
            )
        if self._of_token[token_id] >= self._most_of_token:
            raise Throttled(
                f"This token has {self._most_of_token} streams of events open in this server "
                f"process, half of all that it answers. {_MORE}",
                TRY_AGAIN_SECONDS,
                code="too-many-viewers",
            )

    def _log_of(self, run_id: str) -> Callable[[int, int], bytes]:
        def read(offset: int, limit: int) -> bytes:
            with self._here.itself.reading() as tx:
                return logs.read(tx, tx.db.get_one(Run, run_id), offset, limit)

        return read

    def _read(self) -> None:
        """Look at the runs again and again, until nobody watches any."""
        while (channels := self._watched()) is not None:
            pause = LOOK_SECONDS
            try:
                self._wake(self._look_at(channels))
            except Unavailable as error:
                log.warning("live_waits", reason=error.message)
                pause = WAITING_LOOK_SECONDS
            except Exception as bug:
                log.exception("live_crashed", exc_info=bug)
                pause = WAITING_LOOK_SECONDS
            self._joined.wait(pause)
            self._joined.clear()

    def _watched(self) -> Sequence[Channel] | None:
        """The runs whose turn it is; None, and the reader ends, when nobody watches any."""
        with self._mutex:
            if not self._channels:
                self._is_reading = False
                return None
            moment = time.monotonic()
            return [one for one in self._channels.values() if one.next_look <= moment]

    def _look_at(self, channels: Sequence[Channel]) -> list[Channel]:
        """Look at these runs; those of which there is news."""
        if not channels:
            return []
        with self._here.itself.reading() as tx:
            marks = watching.marks(tx, [one.run_id for one in channels])
            found = [one for one in channels if self._is_news(tx, one, marks.get(one.run_id))]
        for one in channels:
            pause = LOOK_SECONDS if one.is_at_work else WAITING_LOOK_SECONDS
            one.next_look = time.monotonic() + pause - LOOK_SECONDS / 2
        return found

    def _is_news(self, tx: Transaction, channel: Channel, mark: Mark | None) -> bool:
        if mark is None:
            channel.fault = NotFound(f"There is no run {channel.run_id} any more.")
            return True
        before = channel.mark
        is_same = before is not None and (before.row, before.steps) == (mark.row, mark.steps)
        if is_same and time.monotonic() - channel.looked_at < RELOOK_SECONDS:
            return channel.go_on(mark)
        try:
            return channel.see(self._look(tx, tx.db.get_one(Run, channel.run_id)), mark)
        except Unavailable:
            raise
        except Error as fault:
            channel.fault = fault
            return True

    def _wake(self, channels: Iterable[Channel]) -> None:
        """Wake the viewers a few at a time: with gevent, requests are answered in between."""
        for channel in channels:
            with self._mutex:
                wakers = [*channel.wakers]
            for begin in range(0, len(wakers), AT_ONCE):
                for woken in wakers[begin : begin + AT_ONCE]:
                    woken.set()
                time.sleep(0)
