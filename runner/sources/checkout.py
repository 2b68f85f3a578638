"""Check a new checkout, and remove what must not be in it, before anything reads it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from runner.detection.config_files import EXTENSIONS
from runner.errors import SourceError

COMMITTED = "committed-terraform"  # below .git, where no repository can put anything
_STATES = ("terraform.tfstate", "terraform.tfstate.d")
_UNWRITTEN = "errored.tfstate"
_NAMED_FOLDERS = 8


def folder_at(root: Path, path: str) -> Path:
    """The template's folder. Raises SourceError with `path-not-found`, which lists some folders."""
    folder = root / path
    if folder.is_dir():
        return folder
    found = list(configured(root))
    named = ", ".join(found[:_NAMED_FOLDERS]) + (", …" if len(found) > _NAMED_FOLDERS else "")
    hint = f"Folders with configuration: {named}." if found else "No folder has configuration."
    raise SourceError(
        "path-not-found",
        f"The repository has no folder {path}. {hint}",
        folders=found[:_NAMED_FOLDERS],
    )


def put_away(root: Path, folder: Path) -> tuple[str, ...]:
    """Remove files that a repository should not contain, and return a sentence about each.

    With a committed state and an injected backend, init would ask whether to migrate the state. So
    it is moved to .git/committed-terraform for an import, like the states of CLI workspaces. A
    committed .terraform would decide which backend and providers are used, and a committed
    errored.tfstate would be taken for one that this run could not write.
    """
    removed = [name for name in (".terraform",) if _remove(folder / name)]
    unwritten = [path.relative_to(root) for path in _named(root, _UNWRITTEN) if _remove(path)]
    aside = root / ".git" / COMMITTED
    moved = [name for name in _STATES if _move(folder / name, aside / name)]
    return (
        *(f"The {name} folder in the repository was removed." for name in removed),
        *(f"The file {_shown(path)} in the repository was removed." for path in unwritten),
        *(
            f"The {name} in the repository is not used. If it is the state of this workspace, "
            "import it, then delete it from the repository."
            for name in moved
        ),
    )


def put_back(root: Path, folder: Path) -> None:
    """Put the committed states back into a folder, for a backend that keeps them there."""
    for name in _STATES:
        aside = root / ".git" / COMMITTED / name
        if aside.exists():
            aside.rename(folder / name)


def _named(root: Path, name: str) -> list[Path]:
    return [Path(where, name) for where, folders, files in os.walk(root) if name in folders + files]


def configured(root: Path) -> Iterator[str]:
    """The folders with configuration, relative to the root of the repository."""
    for where, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if any(name.endswith(EXTENSIONS) for name in files):
            yield str(Path(where).relative_to(root))


def _remove(path: Path) -> bool:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        return False
    return True


def _move(path: Path, aside: Path) -> bool:
    """Move a file, a folder, or the target of a symlink inside the repository."""
    if not path.exists():
        return _remove(path)
    aside.parent.mkdir(mode=0o700, exist_ok=True)
    if path.is_symlink():
        copy = shutil.copytree if path.is_dir() else shutil.copyfile
        copy(path, aside)
        path.unlink()
    else:
        path.rename(aside)
    return True


def _shown(path: Path) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(path))[:200]
