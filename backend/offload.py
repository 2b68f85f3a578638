"""Keeps the server answering while one request has much to do.

Under gevent one thread serves everybody, and hashing, compressing or fsync would stop them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from gevent import get_hub, monkey

P = ParamSpec("P")
R = TypeVar("R")


def off_loop(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Do it in a thread of gevent's pool while others go on; without gevent, do it here.

    The work must not touch the database session, locks, or anything else that waits for greenlets.
    """
    if not monkey.is_module_patched("threading"):
        return work(*args, **kwargs)
    result: R = get_hub().threadpool.apply(work, args, kwargs)
    return result
