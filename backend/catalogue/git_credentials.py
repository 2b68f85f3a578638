"""Stored keys for the git repositories that modules and submodules come from.

Each is for what is below a prefix, HOST, HOST:PORT or HOST/PATH, in a whole project or in one of
its workspaces. A workspace's own comes before the project's for the same prefix.
"""

from __future__ import annotations

import re

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend import audit, names
from backend.catalogue import keys
from backend.errors import Conflict, Invalid, NotFound
from backend.models import GitCredential, Project, Workspace, new_id
from backend.paging import DEFAULT_LIMIT, Page, page
from backend.transactions import Transaction

MAX_LENGTH = 512
_PART = r"[A-Za-z0-9_~+-][A-Za-z0-9._~+-]*"
_PREFIX = re.compile(rf"[a-z0-9][a-z0-9.-]*(?::[0-9]{{1,5}})?(?:/{_PART})*")  # runner: the same
_ADDRESS = re.compile(r"(?:(?:https|http|ssh)://)?(?:[^/@]*@)?")


def create(
    tx: Transaction, project: Project, *, prefix: str, key: str, workspace: str | None = None
) -> GitCredential:
    """Let runs open the repositories below a prefix with a stored key.

    Raises Forbidden, Invalid, and Conflict when the prefix has a key already.
    """
    tx.require("keys:manage", project.id)
    chosen = keys.chosen(tx.db, project, key)
    if chosen is None or chosen.kind == "none":
        raise Invalid("A key of kind none opens nothing: choose another one.", code="key-kind")
    made = GitCredential(
        id=new_id("git"),
        project_id=project.id,
        workspace=None if workspace is None else _workspace(tx.db, project, workspace),
        prefix=check_prefix(prefix),
        key=chosen,
    )
    tx.db.add(made)
    try:
        tx.db.flush()
    except IntegrityError:
        raise Conflict(
            f"There is a git credential for {made.prefix} here already: delete it first.",
            code="git-credential-exists",
        ) from None
    audit.record(
        tx, "git_credential.create", made.id, project_id=project.id,
        prefix=made.prefix, key=chosen.name, workspace=made.workspace_id,
    )  # fmt: skip
    return made


def find_all(
    tx: Transaction, project: Project, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[GitCredential]:
    """The git credentials of a project and of its workspaces, without their secrets."""
    tx.require("keys:manage", project.id)
    query = select(GitCredential).where(GitCredential.project_id == project.id)
    return page(tx.db, query, GitCredential.id, after, limit)


def named(db: Session, project: Project, reference: str) -> GitCredential:
    """One by its id. Raises NotFound."""
    found = db.scalars(
        select(GitCredential).where(
            GitCredential.project_id == project.id, GitCredential.id == reference
        )
    ).one_or_none()
    if found is None:
        raise NotFound(f"There is no git credential {reference!r} in the project.")
    return found


def delete(tx: Transaction, project: Project, reference: str) -> None:
    """Delete a git credential. Its key stays. Raises NotFound."""
    tx.require("keys:manage", project.id)
    found = named(tx.db, project, reference)
    tx.db.delete(found)
    audit.record(tx, "git_credential.delete", found.id, project_id=project.id, prefix=found.prefix)


def of_workspace(db: Session, workspace: Workspace) -> list[GitCredential]:
    """Those that its runs use: its own, and the project's for other prefixes."""
    of_project = db.scalars(
        select(GitCredential)
        .where(GitCredential.project_id == workspace.project_id)
        .where((GitCredential.workspace_id == workspace.id) | GitCredential.workspace_id.is_(None))
        .order_by(GitCredential.workspace_id.is_not(None), GitCredential.id)
    )
    return list({found.prefix: found for found in of_project}.values())  # its own are the last


def check_prefix(text: str) -> str:
    """HOST, HOST:PORT or HOST/PATH, also given as an address. Raises Invalid."""
    bare = text[_ADDRESS.match(text).end() :].rstrip("/").removesuffix(".git")  # type: ignore[union-attr]
    host, slash, path = bare.partition("/")
    prefix = f"{host.lower()}{slash}{path}"
    if len(prefix) > MAX_LENGTH or not _PREFIX.fullmatch(prefix):
        raise Invalid(
            f"{text!r} is no prefix of repositories: write HOST, HOST:PORT or HOST/PATH, for "
            "example git.example.com/platform.",
            code="git-credential-invalid",
            field="prefix",
        )
    return prefix


def _workspace(db: Session, project: Project, reference: str) -> Workspace:
    found = db.scalars(
        select(Workspace).where(
            Workspace.project_id == project.id, names.called(Workspace, reference)
        )
    ).one_or_none()
    if found is None:
        raise Invalid(f"There is no workspace {reference!r} in the project.", code="no-workspace")
    return found
