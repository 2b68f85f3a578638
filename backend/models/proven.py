"""The rows that have a proof (sealing/proofs.py): which of their columns decide."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import BigInteger, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column


class Proven:
    """A row whose proof covers its `revision` and the columns of PROVES.

    A new column goes to the end of PROVES, and is null or false in the rows that exist: so they
    keep their proofs. SEALED is the one that is a packed value (sealing/crypto.py).
    """

    __tablename__: str
    KEY: ClassVar[tuple[str, ...]] = ("id",)
    PROVES: ClassVar[tuple[str, ...]]
    SEALED: ClassVar[str | None] = None

    revision: Mapped[int] = mapped_column(BigInteger, default=1)  # rises with every change of it
    proof: Mapped[bytes | None] = mapped_column(LargeBinary(32))
