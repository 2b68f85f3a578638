"""Where the tools install providers from: the block `provider_installation` of their settings."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from runner.errors import ToolError

# where the tools look for providers on their own when their settings do not say anything
_IMPLIED = ("/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins")
_OF_SOURCES = "terraform.d/plugins"


@dataclass(frozen=True)
class Mirror:
    """A filesystem mirror, with the providers that are not taken from it."""

    folder: Path
    exclude: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Methods:
    """The mirrors, first come first served, and the providers that no registry is asked for."""

    mirrors: tuple[Mirror, ...]
    not_asked: frozenset[str]

    def text(self) -> str:
        """The settings file of the tool."""
        lines = ["disable_checkpoint = true"]
        if self.mirrors:
            lines += [
                "provider_installation {",
                *(line for mirror in self.mirrors for line in _block(mirror)),
                *_method("direct", _excluding(self.not_asked)),
                "}",
            ]
        return "\n".join([*lines, ""])


def held(mirror: Path) -> frozenset[str]:
    """The providers in an administrator's mirror, as HOST/NAMESPACE/TYPE.

    Raises ToolError `provider-mirror-missing`.
    """
    if not mirror.is_dir():
        raise ToolError(
            "provider-mirror-missing",
            f"The folder of the provider mirror does not exist: {mirror}",
        )
    return _in(mirror)


def implied(sources: Path, seen: Path) -> Iterable[tuple[Path, frozenset[str]]]:
    """The folders that a tool would look into by itself, as it sees them, and what they have.

    Both tools know the same ones: of the sources, and terraform's of the system.
    """
    for folder in (sources / _OF_SOURCES, *map(Path, _IMPLIED)):
        if folder.is_dir() and (providers := _in(folder)):
            is_theirs = folder.is_relative_to(sources)
            yield (seen / _OF_SOURCES if is_theirs else folder), providers


def _in(mirror: Path) -> frozenset[str]:
    found = (p for p in mirror.glob("*.*/*/*") if p.is_dir())
    return frozenset(str(path.relative_to(mirror)) for path in found)


def _block(mirror: Mirror) -> list[str]:
    path = f"path = {json.dumps(str(mirror.folder.absolute()))}"
    return _method("filesystem_mirror", [path, *_excluding(mirror.exclude)])


def _method(name: str, arguments: list[str]) -> list[str]:
    return [f"  {name} {{", *(f"    {argument}" for argument in arguments), "  }"]


def _excluding(providers: Collection[str]) -> list[str]:
    return [f"exclude = {json.dumps(sorted(providers))}"] if providers else []
