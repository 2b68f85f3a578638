"""Variables of a workspace or a set: for terraform, its environment, or its backend.

All are sealed. Those of kind backend_config complete the backend block of the sources, as
-backend-config does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypedDict

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from backend import audit, names
from backend.catalogue import variable_types
from backend.errors import Invalid, NotFound
from backend.models import Variable, VariableSet, Workspace, new_id
from backend.paging import DEFAULT_LIMIT, Page, page
from backend.sealing import bindings, faults
from backend.sealing.crypto import Keyring, open_value, seal_value
from backend.sealing.faults import Fault
from backend.transactions import Transaction

KINDS = ("terraform", "environment", "backend_config")

# These would move the state, the plan or the tool's own files, or load a library. The runner
# removes the same ones; refusing them here tells the user before a run. TF_HTTP_*, TF_CLOUD_* and
# TF_TOKEN_* are allowed: they hold credentials for the backend that the sources configure, and for
# registries.
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


Owner = Workspace | VariableSet


class Fields(TypedDict, total=False):
    """`is_expression` is from before there were types: true is the type hcl."""

    value: str
    sensitive: bool
    is_expression: bool
    type: str


@dataclass(frozen=True)
class NewVariable:
    kind: str
    name: str
    fields: Fields


def create(tx: Transaction, owner: Owner, new: NewVariable) -> Variable:
    """Create a variable. Raises Invalid (as `variable-reserved`), and Conflict if it exists."""
    tx.require("templates:manage", owner.project_id)
    kind, name = new.kind, new.name
    check_name(kind, name)
    variable = Variable(
        id=new_id("var"),
        workspace_id=owner.id if isinstance(owner, Workspace) else None,
        set_id=owner.id if isinstance(owner, VariableSet) else None,
        kind=kind,
        name=name,
        sensitive=False,
        type="string",
    )
    assign(tx.keyring, variable, {"value": "", **new.fields})
    names.store(tx.db, variable, f"{kind} variable")
    _record(tx, "variable.create", owner, variable)
    return variable


def put(tx: Transaction, owner: Owner, reference: str, fields: Fields) -> Variable:
    """Replace a variable, or create it if no variable has this `kind/name`."""
    tx.require("templates:manage", owner.project_id)
    complete: Fields = {"sensitive": False, **fields}
    if "type" not in fields:
        complete["type"] = "hcl" if fields.get("is_expression") else "string"
    kind, slash, name = reference.partition("/")
    try:
        variable = named(tx.db, owner, reference)
    except NotFound:
        if not slash or kind not in KINDS:
            raise
        return create(tx, owner, NewVariable(kind, name, complete))
    return _update(tx, owner, variable, complete)


def get(tx: Transaction, owner: Owner, reference: str) -> Variable:
    """One variable, by its id or as `kind/name`. Raises NotFound."""
    tx.require("runs:read", owner.project_id)
    return named(tx.db, owner, reference)


def named(db: Session, owner: Owner, reference: str) -> Variable:
    """The variable with this id or `kind/name`. Raises NotFound."""
    found = select(Variable).where(of(owner))
    kind, slash, name = reference.partition("/")
    if slash:
        found = found.where(Variable.kind == kind, Variable.name == name)
    else:
        found = found.where(Variable.id == reference)
    variable = db.scalars(found).one_or_none() if reference.isprintable() else None
    if variable is None:
        noun = "workspace" if isinstance(owner, Workspace) else "variable set"
        raise NotFound(f"There is no variable {reference!r} in the {noun} {owner.name!r}.")
    return variable


def find_all(
    tx: Transaction, owner: Owner, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Variable]:
    """The variables of a workspace, or of a set."""
    tx.require("runs:read", owner.project_id)
    query = select(Variable).where(of(owner))
    return page(tx.db, query, Variable.id, after, limit)


def update(tx: Transaction, owner: Owner, reference: str, changes: Fields) -> Variable:
    """Change a variable. A sensitive one stays so unless it gets a new value.

    Raises NotFound, Invalid, and Unreadable for one that somebody changed in the database.
    """
    tx.require("templates:manage", owner.project_id)
    return _update(tx, owner, named(tx.db, owner, reference), changes)


def _update(tx: Transaction, owner: Owner, variable: Variable, changes: Fields) -> Variable:
    tx.keyring.proofs.check(variable)
    if variable.sensitive and not changes.get("sensitive", True) and "value" not in changes:
        raise Invalid(
            "The value of a sensitive variable is never shown. To make it an ordinary variable, "
            "send a new value too.",
            code="variable-sensitive",
        )
    assign(tx.keyring, variable, changes)
    tx.db.flush()
    _record(tx, "variable.update", owner, variable)
    return variable


def delete(tx: Transaction, owner: Owner, reference: str) -> None:
    """Delete a variable. Raises NotFound."""
    tx.require("templates:manage", owner.project_id)
    variable = named(tx.db, owner, reference)
    tx.db.delete(variable)
    _record(tx, "variable.delete", owner, variable)


def of(owner: Owner) -> ColumnElement[bool]:
    """The condition for the variables of a workspace, or of a set."""
    column = Variable.workspace_id if isinstance(owner, Workspace) else Variable.set_id
    return column == owner.id


def shown(keyring: Keyring, variable: Variable) -> str | None:
    """The value as people may see it: None if it is sensitive, or cannot be opened."""
    if variable.sensitive or fault(keyring, variable):
        return None
    return opened(keyring, variable)


def fault(keyring: Keyring, variable: Variable) -> Fault | None:
    """Why its value cannot be opened, or None if it can."""
    return faults.found(lambda: opened(keyring, variable))


def warnings(keyring: Keyring, variable: Variable) -> list[str]:
    """What a person should know who has just set it."""
    if fault(keyring, variable):
        return []
    value = opened(keyring, variable)
    return variable_types.warnings(
        variable.kind, variable.name, value, sensitive=variable.sensitive
    )


def opened(keyring: Keyring, variable: Variable) -> str:
    """The value in clear. Raises Unreadable."""
    keyring.proofs.check(variable)
    return open_value(keyring, variable.value, bindings.variable(variable.id)).decode()


def assign(keyring: Keyring, variable: Variable, fields: Fields) -> None:
    """Set these fields, and seal the value. Raises Invalid, and Unreadable for a changed type."""
    value_type = _type_after(variable.value_type, fields)
    variable_types.check_type(variable.kind, variable.name, value_type)
    if "value" in fields:
        variable_types.check_value(value_type, fields["value"])
        clear = fields["value"].encode()
        variable.value = seal_value(keyring, clear, bindings.variable(variable.id))
    elif value_type != variable.value_type:
        variable_types.check_value(value_type, opened(keyring, variable))
    variable.sensitive = fields.get("sensitive", variable.sensitive)
    variable.type, variable.is_expression = value_type, value_type == "hcl"


def _type_after(before: str, fields: Fields) -> str:
    """Raises Invalid when `type` and `is_expression` contradict each other."""
    is_expression = fields.get("is_expression")
    if "type" in fields:
        if is_expression is not None and is_expression != (fields["type"] == "hcl"):
            raise Invalid(
                "is_expression is true for the type hcl only: leave it out.",
                code="variable-invalid",
            )
        return fields["type"]
    if is_expression is None:
        return before
    if is_expression:
        return "hcl"
    return "string" if before == "hcl" else before


def check_name(kind: str, name: str) -> None:
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


def _record(tx: Transaction, action: str, owner: Owner, variable: Variable) -> None:
    noun = "workspace" if isinstance(owner, Workspace) else "variable_set"
    audit.record(
        tx, action, variable.id, project_id=owner.project_id, kind=variable.kind,
        name=variable.name, **{noun: owner.id},
    )  # fmt: skip
