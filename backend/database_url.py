"""Parse the URL of the database. Error messages never contain any part of it."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import URL, make_url

FORMS = "must be sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
RAW = (
    "cannot be read: in the username and the password the characters % @ : / ? and # must be "
    "percent-encoded, as %25 %40 %3A %2F %3F and %23"
)

_PLAIN = r"(?:[^\r\n%@:/?#]|%[0-9A-Fa-f]{2})*"
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[^\s%@:/?#\[\]]*)"
# Stricter than SQLAlchemy, which reads p@ss and 100% in a password in unexpected ways.
_POSTGRESQL = re.compile(
    rf"postgresql(?:\+psycopg)?://(?:{_PLAIN}(?::{_PLAIN})?@)?{_HOST}(?::[0-9]+)?"
    rf"(?:/{_PLAIN})?(?:\?[^\s@#]*)?"
)


def parse(text: str) -> URL:
    """The URL for SQLAlchemy. Raises ValueError with a message that contains no part of it."""
    if text.startswith("sqlite:///"):
        return make_url(text)
    if not text.startswith(("postgresql://", "postgresql+psycopg://")):
        raise ValueError(FORMS)
    if not _POSTGRESQL.fullmatch(text):
        raise ValueError(RAW if "@" in text else FORMS)
    return make_url(text).set(drivername="postgresql+psycopg")


def of_file(path: Path) -> URL:
    """The URL of an SQLite file, whatever characters its path has."""
    return URL.create("sqlite", database=str(path))
