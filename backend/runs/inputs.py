"""What a run is made from, as keyed hashes, to find out what has changed since its plan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from backend.catalogue import effective, git_credentials, rules
from backend.models import Key, Run
from backend.sealing.proofs import body_of
from backend.transactions import Transaction

OF_TEMPLATE = (
    *("id", "repository", "ref", "path", "tool", "tool_version", "backend_mode", "override_file"),
    *("submodules", "lfs", "ignored_wrappers", "allowed_refs", "secrets_for_pull_requests"),
    *("variable_files", "backend_config_files"),
)


@dataclass(frozen=True)
class Inputs:
    """Each is a hash in hex, keyed so that it tells nothing about secrets."""

    template: str
    variables: str
    credentials: str

    def changed_since(self, other: Inputs) -> list[str]:
        """What is not the same any more, in words."""
        words = {
            "template": "the template",
            "variables": "the variables",
            "credentials": "the keys and credentials",
        }
        return [said for name, said in words.items() if getattr(self, name) != getattr(other, name)]


def of(tx: Transaction, run: Run) -> Inputs:
    """The inputs of a run as they are now. Raises Unreadable when a variable does not open.

    For Stateroom itself, and for whoever may decide about the run.
    """
    tx.require_any(("runs:approve", "admin"), run.project_id)
    template = [getattr(run.template, name) for name in OF_TEMPLATE]
    template.append(rules.of_plans(run.template.rules))
    template += [run.workspace.variable_files, run.workspace.backend_config_files]
    opened = effective.opened(tx.db, tx.keyring, run.workspace, run)
    given = [[v.kind, v.name, v.type, v.sensitive, v.value] for v in opened]
    return Inputs(
        template=_hash(tx, "template", template),
        variables=_hash(tx, "variables", given),
        credentials=_hash(tx, "credentials", list(_credentials(tx, run))),
    )


def _credentials(tx: Transaction, run: Run) -> Iterator[list[str | None]]:
    yield ["template", *_of_key(run.template.key)]
    yield ["modules", *_of_key(run.workspace.module_key)]
    for one in git_credentials.of_workspace(tx.db, run.workspace):
        yield [one.prefix, *_of_key(one.key)]


def _of_key(key: Key | None) -> tuple[str | None, ...]:
    """Its id and a hash of its sealed secret, which a rotation of the keyring does not change."""
    if key is None:
        return ()
    body = body_of(key.secret)
    return key.id, key.username, None if body is None else body.hex()


def _hash(tx: Transaction, what: str, values: list[Any]) -> str:
    return tx.keyring.proofs.fingerprint(json.dumps([what, values], sort_keys=True).encode())
