"""Logging to standard error, one event per line, also for the messages of libraries."""

from __future__ import annotations

import logging
import sys
from io import StringIO
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

_SECRET_NAMES = ("password", "secret", "token", "authorization", "credential", "private_key")


def configure(form: Literal["console", "json"]) -> None:
    """Set up structlog and the standard library's logging for this process."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
        one_printable_line,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderer(form),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    # alembic logs each step of each start, and celery its banners
    for chatty in ("alembic", "kombu", "celery"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # it warns that filesystem:// has no host
    logging.getLogger("kombu.connection").setLevel(logging.ERROR)


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide values with the name of a secret, in case some code logs one by mistake."""
    for name in event:
        if any(word in name.lower() for word in _SECRET_NAMES) and not name.endswith("_id"):
            event[name] = "***"
    return event


def one_printable_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape line breaks and control characters, because values may come from clients."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _printable(value)
    return event


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _traceback(to: TextIO, error: ExcInfo) -> None:
    said = StringIO()
    structlog.dev.plain_traceback(said, error)
    to.write("\n".join(f"  | {_printable(line)}" for line in said.getvalue().split("\n")))


def _renderer(form: Literal["console", "json"]) -> list[Processor]:
    # no local variables in a traceback: they may be secrets
    if form == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    colors = sys.stderr.isatty()
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=_traceback)]
