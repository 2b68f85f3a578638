"""What all tables share: ids, and how Python types are stored."""

from __future__ import annotations

import secrets
import time
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, LargeBinary, Text
from sqlalchemy.orm import DeclarativeBase

from backend.db import Timestamp

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32


def new_id(prefix: str) -> str:
    """`prefix_` and 26 characters that sort by time: 48 bits of milliseconds and 80 random bits."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return f"{prefix}_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012 SQLAlchemy reads it from the class
        datetime: Timestamp(),
        dict[str, Any]: JSON(),
        bytes: LargeBinary(),
        str: Text(),
    }
