"""Variables of a workspace: for terraform, its environment, or its backend. All are sealed.

Those of kind backend_config complete the backend block of the sources, as -backend-config does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import audit, names
from backend.errors import Invalid, NotFound, Unreadable
from backend.models import Variable, Workspace, new_id
from backend.paging import DEFAULT_LIMIT, Page, page
from backend.sealing import bindings, faults
from backend.sealing.crypto import Keyring, open_value, seal_value
from backend.sealing.faults import Fault
from backend.transactions import Transaction

KINDS = ("terraform", "environment", "backend_config")
MAX_VALUE_BYTES = 100_000  # Linux allows 131,072 bytes for one variable

# These would move the state, the plan or the tool's own files, or load a library. The runner
# removes the same ones; refusing them here tells the user before a run. TF_HTTP_*, TF_CLOUD_* and
# TF_TOKEN_* are allowed: they hold credentials for the backend that the sources configure.
RESERVED = (
    *("TF_WORKSPACE", "TF_CLI_ARGS*", "TF_DATA_DIR", "TF_CLI_CONFIG_FILE", "TERRAFORM_CONFIG"),
    *("TF_LOG_PATH", "TF_TEMP_LOG_PATH"),
    *("TF_REATTACH_PROVIDERS", "TF_FORCE_LOCAL_BACKEND", "TF_STATE_PERSIST_INTERVAL"),
    *("TF_DISABLE_PLUGIN_TLS", "TF_INPUT", "TF_IN_AUTOMATION", "TF_PLUGIN_CACHE_DIR"),
    *("TOFU_*", "OPENTOFU_*", "OTEL_*", "TRACEPARENT", "TRACESTATE", "CHECKPOINT_DISABLE"),
    *("GODEBUG", "BROWSER", "XDG_*", "LD_*", "GIT_*", "BASH_ENV", "ENV", "PYTHON*"),
    *("HOME", "PATH", "TMPDIR", "SSH_AUTH_SOCK", "SSH_AGENT_PID", "SSH_ASKPASS", "STATEROOM_*"),
)
_RESERVED = re.compile(
    "|".join(re.escape(name).replace(r"\*", ".*") for name in RESERVED), re.IGNORECASE
)
_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}", re.ASCII)


class Fields(TypedDict, total=False):
    value: str
    sensitive: bool
    is_expression: bool


@dataclass(frozen=True)
class NewVariable:
    kind: str
    name: str
    fields: Fields


def create(tx: Transaction, workspace: Workspace, new: NewVariable) -> Variable:
    """Create a variable. Raises Invalid (as `variable-reserved`), and Conflict if it exists."""
    tx.require("templates:manage", workspace.project_id)
    kind, name = new.kind, new.name
    _check_name(kind, name)
    variable = Variable(
        id=new_id("var"),
        workspace_id=workspace.id,
        kind=kind,
        name=name,
        sensitive=False,
        is_expression=False,
    )
    _assign(tx.keyring, variable, {"value": "", **new.fields})
    names.store(tx.db, variable, f"{kind} variable")
    _record(tx, "variable.create", workspace, variable)
    return variable


def put(tx: Transaction, workspace: Workspace, reference: str, fields: Fields) -> Variable:
    """Replace a variable, or create it if no variable has this `kind/name`."""
    tx.require("templates:manage", workspace.project_id)
    complete: Fields = {"sensitive": False, "is_expression": False, **fields}
    kind, slash, name = reference.partition("/")
    try:
        variable = named(tx.db, workspace, reference)
    except NotFound:
        if not slash or kind not in KINDS:
            raise
        return create(tx, workspace, NewVariable(kind, name, complete))
    return _update(tx, workspace, variable, complete)


def get(tx: Transaction, workspace: Workspace, reference: str) -> Variable:
    """One variable, by its id or as `kind/name`. Raises NotFound."""
    tx.require("runs:read", workspace.project_id)
    return named(tx.db, workspace, reference)


def named(db: Session, workspace: Workspace, reference: str) -> Variable:
    """The variable with this id or `kind/name`. Raises NotFound."""
    found = select(Variable).where(Variable.workspace_id == workspace.id)
    kind, slash, name = reference.partition("/")
    if slash:
        found = found.where(Variable.kind == kind, Variable.name == name)
    else:
        found = found.where(Variable.id == reference)
    variable = db.scalars(found).one_or_none() if reference.isprintable() else None
    if variable is None:
        raise NotFound(f"There is no variable {reference!r} in the workspace {workspace.name!r}.")
    return variable


def find_all(
    tx: Transaction, workspace: Workspace, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Variable]:
    """The variables of a workspace."""
    tx.require("runs:read", workspace.project_id)
    query = select(Variable).where(Variable.workspace_id == workspace.id)
    return page(tx.db, query, Variable.id, after, limit)


def update(tx: Transaction, workspace: Workspace, reference: str, changes: Fields) -> Variable:
    """Change a variable. A sensitive one stays so unless it gets a new value.

    Raises NotFound, Invalid, and Unreadable for one that somebody changed in the database.
    """
    tx.require("templates:manage", workspace.project_id)
    return _update(tx, workspace, named(tx.db, workspace, reference), changes)


def _update(tx: Transaction, workspace: Workspace, variable: Variable, changes: Fields) -> Variable:
    tx.keyring.proofs.check(variable)
    if variable.sensitive and not changes.get("sensitive", True) and "value" not in changes:
        raise Invalid(
            "The value of a sensitive variable is never shown. To make it an ordinary variable, "
            "send a new value too.",
            code="variable-sensitive",
        )
    _assign(tx.keyring, variable, changes)
    tx.db.flush()
    _record(tx, "variable.update", workspace, variable)
    return variable


def delete(tx: Transaction, workspace: Workspace, reference: str) -> None:
    """Delete a variable. Raises NotFound."""
    tx.require("templates:manage", workspace.project_id)
    variable = named(tx.db, workspace, reference)
    tx.db.delete(variable)
    _record(tx, "variable.delete", workspace, variable)


def opened(db: Session, keyring: Keyring, workspace: Workspace) -> Iterator[tuple[Variable, str]]:
    """Every variable with its value in clear, for the worker.

    Raises Unreadable `variable-unreadable`, with the name of the variable that does not open.
    """
    query = select(Variable).where(Variable.workspace_id == workspace.id)
    for variable in db.scalars(query.order_by(Variable.id)):
        try:
            yield variable, _open(keyring, variable)
        except Unreadable as error:
            raise Unreadable(
                f"The value of the variable {variable.kind}/{variable.name} does not open. "
                f"{error.message} Delete it and create it again.",
                code="variable-unreadable",
            ) from error


def shown(keyring: Keyring, variable: Variable) -> str | None:
    """The value as people may see it: None if it is sensitive, or cannot be opened."""
    if variable.sensitive or fault(keyring, variable):
        return None
    return _open(keyring, variable)


def fault(keyring: Keyring, variable: Variable) -> Fault | None:
    """Why its value cannot be opened, or None if it can."""
    return faults.found(lambda: _open(keyring, variable))


def _open(keyring: Keyring, variable: Variable) -> str:
    keyring.proofs.check(variable)
    return open_value(keyring, variable.value, bindings.variable(variable.id)).decode()


def _assign(keyring: Keyring, variable: Variable, fields: Fields) -> None:
    variable.sensitive = fields.get("sensitive", variable.sensitive)
    variable.is_expression = fields.get("is_expression", variable.is_expression)
    if variable.is_expression and variable.kind == "environment":
        raise Invalid("An environment variable is no expression.", code="variable-invalid")
    if "value" in fields:
        clear = fields["value"].encode()
        if len(clear) > MAX_VALUE_BYTES or b"\0" in clear:
            raise Invalid(
                f"A value may have at most {MAX_VALUE_BYTES:,} bytes, and no NUL.",
                code="variable-invalid",
            )
        variable.value = seal_value(keyring, clear, bindings.variable(variable.id))


def _check_name(kind: str, name: str) -> None:
    if kind == "environment":
        wrong = not _ENVIRONMENT.fullmatch(name)
        if _RESERVED.fullmatch(name):
            raise Invalid(
                f"{name} cannot be set here: it would change where the run keeps its state or its "
                "files. Use the fields of the template instead.",
                code="variable-reserved",
                reserved=list(RESERVED),
            )
    else:
        wrong = len(name) > 255 or not name.replace("-", "_").isidentifier() or name[0] in "-_"
    if wrong:
        raise Invalid(f"{name!r} cannot be the name of a {kind} variable.", code="name-invalid")


def _record(tx: Transaction, action: str, workspace: Workspace, variable: Variable) -> None:
    audit.record(
        tx, action, variable.id, project_id=workspace.project_id,
        workspace=workspace.id, kind=variable.kind, name=variable.name,
    )  # fmt: skip
