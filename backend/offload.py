"""Keeps the server answering while one request has much to do.

Under gevent one thread serves everybody, and hashing, compressing or fsync would stop them all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn, ParamSpec, TypeVar

from gevent import get_hub, monkey

from backend.errors import Unavailable

P = ParamSpec("P")
R = TypeVar("R")


class Room:
    """Room for a few who do something expensive at once. Others wait, but not for long."""

    def __init__(self, at_once: int, *, seconds: float, refusal: str) -> None:
        self.at_once = at_once
        self._seconds, self._refusal = seconds, refusal
        self._places = threading.BoundedSemaphore(at_once)

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Raises Unavailable `busy` when nobody has left after so many seconds."""
        if not self._places.acquire(timeout=self._seconds):
            raise Unavailable(self._refusal, code="busy")
        try:
            yield
        finally:
            self._places.release()


def off_loop(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Do it in a thread of gevent's pool while others go on; without gevent, do it here.

    The work must not touch the database session, locks, or anything else that waits for greenlets.
    """
    if not _under_gevent():
        return work(*args, **kwargs)
    task = get_hub().threadpool.spawn(_attempt, partial(work, *args, **kwargs))
    result: R = _finished(task)
    return result


def side_by_side(first: Callable[[], None], second: Callable[[], None]) -> None:
    """Do both off the loop, at the same time where that is possible."""
    if not _under_gevent():
        first()
        second()
        return
    tasks = [get_hub().threadpool.spawn(_attempt, work) for work in (first, second)]
    try:
        _finished(tasks[0])
    finally:
        _finished(tasks[1])


def _under_gevent() -> bool:
    return bool(monkey.is_module_patched("threading"))


def _attempt(work: Callable[[], R]) -> Callable[[], R]:
    """What gives the result of the work, or raises what it raised.

    gevent prints the trace of an error that leaves a thread, even when somebody handles it.
    """
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 raised where it is waited for
        return partial(_raise, error)
    return lambda: result


def _raise(error: BaseException) -> NoReturn:
    raise error


def _finished(task: Any) -> Any:
    """The task's result. A greenlet that is killed meanwhile dies when the thread is done.

    Earlier, it would close the file that the thread still writes to.
    """
    killed = None
    while not task.ready():
        try:
            task.wait()
        except BaseException as error:  # noqa: BLE001 raised below
            killed = error
    if killed is not None:
        raise killed
    return task.get()()
