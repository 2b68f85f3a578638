"""Installation, Caller and Transaction: what operations work with.

The first parameter of a function shows what it does. With a `Caller` it opens transactions. With a
`Transaction` it works in that transaction for its principal, and requires the scope that it needs.
With a `Session` it only reads, for an operation that has checked the scope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import structlog
from sqlalchemy.orm import Session

from backend.broker import Bell
from backend.config import Settings
from backend.db import Database
from backend.principal import SYSTEM, Principal
from backend.sealing.blobs import Blobs
from backend.sealing.keyring import Keyring

log = structlog.get_logger()


def _no_rule(*_: object) -> NoReturn:
    raise RuntimeError("Nothing says in this process which repositories and refs may be run.")


def _whatever_fits(_asked: str, _version: str) -> bool:
    return True


@dataclass(frozen=True)
class Installation:
    """A database, its keyring, its large files, and the bell (which tells workers about runs)."""

    settings: Settings
    database: Database
    keyring: Keyring
    blobs: Blobs
    bell: Bell
    # raises Invalid for a repository that no worker here would clone: the runner knows the rule
    check_repository: Callable[[str], None] = _no_rule
    # the rule that allows a ref, by the template's own and its patterns; raises Forbidden
    rule_of_ref: Callable[[str | None, str | None, Sequence[str]], str | None] = _no_rule
    # raises Invalid for a version of a tool that no worker would understand
    check_tool_version: Callable[[str], None] = _no_rule
    # whether a version of a tool is one that a template's version asks for
    tool_fits: Callable[[str, str], bool] = _whatever_fits
    # the lines of a known_hosts file that HOST or HOST:PORT shows now; raises Invalid
    scan_host: Callable[[str], Sequence[str]] = _no_rule
    # those that every worker knows: of public git hosts
    published_host_keys: Sequence[str] = ()
    # what a repository has, for who asks and what is wanted, both as in runs/previewing.py
    look_at: Callable[[str, Mapping[str, Any]], Mapping[str, Any]] = _no_rule
    # the rows that the last examination of this process found changed, and why
    suspects: dict[str, str] = field(default_factory=dict)

    @property
    def itself(self) -> Caller:
        """The caller for what Stateroom does by itself, without a request."""
        return Caller(self, SYSTEM)


@dataclass(frozen=True, slots=True)
class Transaction:
    """One database transaction of one principal, at an installation."""

    db: Session
    principal: Principal
    here: Installation
    _rung_for: list[tuple[str, str]] = field(default_factory=list)
    _events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def keyring(self) -> Keyring:
        return self.here.keyring

    @property
    def blobs(self) -> Blobs:
        return self.here.blobs

    @property
    def settings(self) -> Settings:
        return self.here.settings

    def require(self, scope: str, project_id: str | None, hint: str = "") -> None:
        """Raise Forbidden unless the principal has this scope in the project; None means in all.

        The hint is a sentence that follows the refusal.
        """
        self.principal.require(scope, project_id, hint)

    def require_any(self, scopes: Iterable[str], project_id: str) -> None:
        """Raise Forbidden unless the principal has one of these scopes in the project."""
        if not any(self.principal.may(scope, project_id) for scope in scopes):
            self.require(next(iter(scopes)), project_id)

    def as_itself(self) -> Transaction:
        """The same transaction with Stateroom as principal, for consequences of the request."""
        return replace(self, principal=SYSTEM)

    def ring(self, run_id: str, queue: str) -> None:
        """Tell the workers of a queue about a run after this transaction is committed."""
        self._rung_for.append((run_id, queue))

    def log(self, event: str, **facts: Any) -> None:
        """Log an event after this transaction is committed."""
        self._events.append((event, facts))


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal at an installation, who can open transactions."""

    here: Installation
    principal: Principal

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A write transaction: committed when the block ends, rolled back when it raises.

        After the commit, what was passed to `log` is logged, and the bell rings for the runs that
        `ring` was called for. Raises Unavailable.
        """
        with self.here.database.transaction() as db:
            tx = Transaction(db, self.principal, self.here)
            yield tx
        for event, facts in tx._events:  # noqa: SLF001 it is ours
            log.info(event, **facts)
        for run_id, queue in tx._rung_for:  # noqa: SLF001 it is ours
            self.here.bell.ring(run_id, queue)

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A transaction for reading only. Raises Unavailable."""
        with self.here.database.reading() as db:
            yield Transaction(db, self.principal, self.here)
