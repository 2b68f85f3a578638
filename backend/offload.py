"""Run expensive work in other threads, so that the server goes on answering.

With gevent one thread serves all requests; hashing, compressing or fsync in it would stop them all.
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
    """Limits how many requests do something expensive at once. The others wait for some seconds."""

    def __init__(self, at_once: int, *, seconds: float, refusal: str) -> None:
        self.at_once = at_once
        self._seconds, self._refusal = seconds, refusal
        self._places = threading.BoundedSemaphore(at_once)

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Enter when there is room. Raises Unavailable with `busy` if there is none in time."""
        if not self._places.acquire(timeout=self._seconds):
            raise Unavailable(self._refusal, code="busy")
        try:
            yield
        finally:
            self._places.release()


def off_loop(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Do the work in a thread of gevent's pool while other requests go on; without gevent, here.

    The work must not use the database session, locks, or anything else that waits for greenlets.
    """
    if not _under_gevent():
        return work(*args, **kwargs)
    task = get_hub().threadpool.spawn(_attempt, partial(work, *args, **kwargs))
    result: R = _finished(task)
    return result


def side_by_side(first: Callable[[], None], second: Callable[[], None]) -> None:
    """Do both in other threads, at the same time if possible."""
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
    """Do the work, and return a function that returns its result or raises its error.

    gevent would print the traceback of an error that leaves the thread, even if it is handled.
    """
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 raised by the thread that waits for the result
        return partial(_raise, error)
    return lambda: result


def _raise(error: BaseException) -> NoReturn:
    raise error


def _finished(task: Any) -> Any:
    """The result of the task. A greenlet that is killed while it waits ends after the thread.

    If it ended earlier, it would close the file that the thread still writes to.
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
