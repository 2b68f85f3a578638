"""Find the programs that run the tool in a folder, and tell it where its state is: wrappers.

With Terragrunt, for example, the sources of a folder configure no backend: a generated file does.
A run would not see that file, and begin a second state of everything that exists. So a wrapper is
looked for in the folder and in its parents, up to the root of the repository.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from runner.detection.config_files import shown
from runner.detection.marks import STATE, Mark, at_the_top, line_at, text_of

WrapperName = Literal["terragrunt", "terraspace", "terramate", "cdktf", "atmos"]
WRAPPERS: tuple[WrapperName, ...] = get_args(WrapperName)

TITLES: dict[WrapperName, str] = {
    "terragrunt": "Terragrunt",
    "terraspace": "Terraspace",
    "terramate": "Terramate",
    "cdktf": "CDK for Terraform",
    "atmos": "Atmos",
}


_PULLS: dict[WrapperName, str] = {
    "terragrunt": "terragrunt state pull",
    "terraspace": "terraspace state pull STACK",
    "terramate": "terraform state pull",
    "cdktf": "terraform -chdir=cdktf.out/stacks/STACK state pull",
    "atmos": "atmos terraform state pull COMPONENT -s STACK",
}


@dataclass(frozen=True)
class Wrapper:
    """`file` is relative to the folder. `line` (from 1) is where it says what it does, if known."""

    name: WrapperName
    file: str
    line: int | None
    what: str

    @property
    def where(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"

    @property
    def why(self) -> str:
        return f"{TITLES[self.name]} runs this folder ({self.what})"

    @property
    def pull(self) -> str:
        """The command that prints the state, wherever the wrapper keeps it."""
        return _PULLS[self.name]


class Listings:
    """Which of the names that matter here are in a folder. Each folder is read once."""

    def __init__(self) -> None:
        self._seen: dict[str, frozenset[str]] = {}

    def names(self, folder: str) -> frozenset[str]:
        """Nothing for a folder that cannot be read."""
        if folder not in self._seen:
            try:
                with os.scandir(folder) as entries:
                    self._seen[folder] = frozenset(e.name for e in entries if _matters(e.name))
            except OSError:
                self._seen[folder] = frozenset()
        return self._seen[folder]


@dataclass(frozen=True)
class _Place:
    """The folder itself, or one of its parents. `names` are those in it that matter here."""

    path: Path
    folder: Path
    names: frozenset[str]

    @property
    def is_folder(self) -> bool:
        return self.path == self.folder

    def only(self, *names: str) -> list[str]:
        """Those of the names that are here, in their order."""
        return [name for name in names if name in self.names]

    def found(self, wrapper: WrapperName, name: str, line: int | None, what: str) -> Wrapper:
        file = os.path.relpath(self.path / name, self.folder)
        return Wrapper(wrapper, shown(file), line, shown(what))


_Places = Sequence[_Place]  # the folder, then its parents up to the root of the repository


def find(folder: Path, root: Path | None = None, known: Listings | None = None) -> list[Wrapper]:
    """The wrappers of a folder, each at most once. It never raises.

    `root` is the root of the repository; by default it is looked for. `known` saves reading
    folders twice that several ones have as parents.
    """
    places = _places(folder, root, known or Listings())
    return [wrapper for rule in _RULES if (wrapper := rule(places)) is not None]


def repository_of(folder: Path, known: Listings | None = None) -> Path:
    """The root of the repository that the folder is in, or the folder itself."""
    return _places(folder, None, known or Listings())[-1].path


def _places(folder: Path, root: Path | None, listings: Listings) -> list[_Place]:
    start = os.path.realpath(folder)
    top = None if root is None else os.path.realpath(root)
    found = []
    for at in (start, *map(str, Path(start).parents)):
        found.append(_Place(Path(at), Path(start), listings.names(at)))
        if at == top or (top is None and ".git" in found[-1].names):
            return found
    return found[:1]  # in no repository: its parents are somebody's home


_UNITS = ("terragrunt.hcl", "terragrunt.hcl.json", "terragrunt.stack.hcl")
_ROOTS = ("root.hcl", "terragrunt.hcl", "terragrunt.stack.hcl")
_OF_TERRAGRUNT = (
    *("remote_state", "generate", "stack", "unit", "include", "terraform", "dependency"),
    *("dependencies", "inputs", "engine", "catalog"),
)
_INCLUDED = re.compile(r'find_in_parent_folders\(\s*"([^"/\\]+)"')


def _terragrunt(places: _Places) -> Wrapper | None:
    """A unit or stack in the folder; or the configuration that units below a parent include.

    A folder without a unit is often a module that a unit elsewhere names as its source.
    """
    folder, parents = places[0], places[1:]
    if units := folder.only(*_UNITS):
        return _unit(folder, parents, units[0])
    for place in places:
        for name in place.only(*_ROOTS):
            if mark := _telling(place.path / name, _OF_TERRAGRUNT[:4]):
                return _of_terragrunt(place, name, mark)
    return None


def _unit(folder: _Place, parents: _Places, name: str) -> Wrapper:
    """Its state is configured in the unit itself, or in what it includes from a parent."""
    path = folder.path / name
    if (mark := _telling(path, ("remote_state", "generate"))) and mark.is_of_the_state:
        return _of_terragrunt(folder, name, mark)
    for included in [*_INCLUDED.findall(text_of(path) or ""), *_ROOTS[:2]]:
        above = next((p for p in parents if (p.path / included).is_file()), None)
        if above is None:
            continue
        if mark := _telling(above.path / included, ("remote_state", "generate")):
            return _of_terragrunt(above, included, mark)
    mark = _telling(path, _OF_TERRAGRUNT)
    return _of_terragrunt(folder, name, mark or Mark("terragrunt", 1, ""))


def _of_terragrunt(place: _Place, name: str, mark: Mark) -> Wrapper:
    return place.found("terragrunt", name, mark.line, f"its {mark.name} in {name}")


def _telling(path: Path, words: Sequence[str]) -> Mark | None:
    """The block with one of these names that says most about the state, or the first one.

    A file that cannot be read has one too: what it says is unknown.
    """
    text = text_of(path)
    if text is None:
        return Mark("unreadable content", 1, "")
    marks = at_the_top(text, words)
    return next((m for m in marks if m.is_of_the_state), marks[0] if marks else None)


_BACKENDS_OF_TERRASPACE = ("backend.tf", "backend.tf.json", "backend.rb")
_RUBY = re.compile(r"^[ \t]*(?:mod|org|base_clone_url|export_path)\b[ \t(]*[\"']", re.MULTILINE)
_CONFIGURED = re.compile(r"^[ \t]*Terraspace\.configure\b", re.MULTILINE)


def _terraspace(places: _Places) -> Wrapper | None:
    """A project of Terraspace: it puts the files in config/terraform beside those of a stack."""
    for place in places:
        if "config" in place.names and (wrapper := _config_of_terraspace(place)):
            return wrapper
        if "Terrafile" in place.names and (line := _line(place.path / "Terrafile", _RUBY)):
            return place.found("terraspace", "Terrafile", line, "its modules are in Terrafile")
    return None


def _config_of_terraspace(place: _Place) -> Wrapper | None:
    shared = place.path / "config" / "terraform"
    if not place.folder.is_relative_to(shared):  # else it may be the folder of a Rails application
        for name in _BACKENDS_OF_TERRASPACE:
            if (shared / name).is_file():
                file, at = f"config/terraform/{name}", _line(shared / name, STATE) or 1
                return place.found("terraspace", file, at, f"its backend is in {file}")
    if line := _line(place.path / "config" / "app.rb", _CONFIGURED):
        return place.found("terraspace", "config/app.rb", line, "it is configured in config/app.rb")
    return None


_OF_TERRAMATE = ("generate_hcl", "generate_file", "import", "stack")


def _terramate(places: _Places) -> Wrapper | None:
    """Stacks, and what generates files for the stacks in a folder and below it."""
    least: Wrapper | None = None
    for place in places:
        for name in sorted(filter(_is_of_terramate, place.names)):
            mark = _telling(place.path / name, _OF_TERRAMATE)
            if mark is None:
                continue
            wrapper = place.found("terramate", name, mark.line, f"its {mark.name} in {name}")
            if mark.is_of_the_state:
                return wrapper
            least = least or wrapper
    return least


def _is_of_terramate(name: str) -> bool:
    return name.endswith((".tm", ".tm.hcl")) and not name.startswith(".")


_CDKTF_OUT = "cdktf.out"
_APP = re.compile(r'"(?:app|language)"\s*:')
_METADATA = re.compile(r'"(?:backend|metadata|stackName)"\s*:')


def _cdktf(places: _Places) -> Wrapper | None:
    """An application of the CDK for Terraform, or what it has generated."""
    for place in places:
        if "cdktf.json" in place.names:
            at = _line(place.path / "cdktf.json", _APP) or 1
            return place.found("cdktf", "cdktf.json", at, "its application is in cdktf.json")
    folder = places[0]
    if generated := folder.only("cdk.tf.json", _CDKTF_OUT):
        at = _line(folder.path / generated[0], _METADATA) or 1
        return folder.found("cdktf", generated[0], at, f"it generates {generated[0]}")
    for place in places:
        if place.path.name == _CDKTF_OUT:
            return place.found("cdktf", ".", None, f"it generates the folder {_CDKTF_OUT}")
    return None


_CONFIGURATIONS_OF_ATMOS = ("atmos.yaml", "atmos.yml", ".atmos.yaml", ".atmos.yml")
_COMPONENTS = re.compile(r"^[ \t]*(?:auto_generate_\w+|terraform|components):", re.MULTILINE)


def _atmos(places: _Places) -> Wrapper | None:
    """A repository of Atmos, which writes a backend.tf.json beside the files of a component."""
    for place in places:
        if names := place.only(*_CONFIGURATIONS_OF_ATMOS):
            at = _line(place.path / names[0], _COMPONENTS) or 1
            return place.found("atmos", names[0], at, f"it is configured in {names[0]}")
    return None


def _line(path: Path, pattern: re.Pattern[str]) -> int | None:
    """The line of the first match, or None."""
    text = text_of(path)
    match = pattern.search(text) if text is not None else None
    return None if text is None or match is None else line_at(text, match.start())


_RULES: tuple[Callable[[_Places], Wrapper | None], ...] = (
    *(_terragrunt, _terraspace, _terramate, _cdktf, _atmos),
)
_NAMES = frozenset(
    (
        *(".git", "config", "Terrafile", "cdktf.json", "cdk.tf.json", _CDKTF_OUT),
        *(*_UNITS, *_ROOTS, *_CONFIGURATIONS_OF_ATMOS),
    )
)


def _matters(name: str) -> bool:
    return name in _NAMES or _is_of_terramate(name)
