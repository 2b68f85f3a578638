"""Show a value of a plan without its secrets, and without what is too much to be shown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from runner.plans.marks import DEEPEST, inner, is_whole, parts
from runner.plans.secrets import Secrets

HIDDEN = "(sensitive value)"
LONGEST = 32 * 1024  # characters of one text
MOST = 128 * 1024  # characters of one value: all attributes of a resource, before or after

Path = tuple[str | int, ...]


@dataclass
class Hider:
    """Shows the values of one change, and notes the paths of what it hides and cuts.

    `own` are texts that the change marks as sensitive somewhere. `suspect`: secrets are in it, or
    may be. The keys of the first `schema` levels are names of the provider's schema.
    """

    secrets: Secrets
    own: Collection[str]
    suspect: bool
    schema: int
    hidden: set[Path] = field(default_factory=set)
    cut: dict[Path, int] = field(default_factory=dict)
    _left: int = MOST

    def shown(self, value: Any, mark: Any) -> Any:
        self._left = MOST
        return self._shown(value, mark, ())

    def safe(self, path: Path) -> Path:
        """The path, up to the first part of it that is hidden, or is a secret itself."""
        for length in range(len(path) + 1):
            if path[:length] in self.hidden:
                return path[:length]
            if length < len(path) and self._is_secret_key(path[length], length):
                return path[:length]
        return path

    def _shown(self, value: Any, mark: Any, path: Path) -> Any:
        if is_whole(mark, value) or self._has_secret_keys(value, len(path)):
            return self._hide(path)
        if not isinstance(value, dict | list):
            return self._leaf(value, path)
        if len(path) >= DEEPEST:
            return self._cut(path, len(value))
        kept: dict[str | int, Any] = {}
        for key, part in parts(value):
            if self._left <= 0:
                self.cut[path] = len(value)
                break
            self._left -= 4 + (len(key) if isinstance(key, str) else 0)
            kept[key] = self._shown(part, inner(mark, key), (*path, key))
        return kept if isinstance(value, dict) else list(kept.values())

    def _leaf(self, value: Any, path: Path) -> Any:
        if value is None or isinstance(value, bool):
            return value
        text: str | None = str(value)
        if text in self.own or text in self.secrets.marked:
            return self._hide(path)
        if self.suspect:
            text = self.secrets.masked(str(value))
        if text is None or (not isinstance(value, str) and text != str(value)):
            return self._hide(path)
        self._left -= min(len(text), LONGEST)
        if len(text) > LONGEST:
            return text[:LONGEST] + self._cut(path, len(text))
        return text if isinstance(value, str) else value

    def _hide(self, path: Path) -> str:
        self.hidden.add(path)
        return HIDDEN

    def _cut(self, path: Path, size: int) -> str:
        self.cut[path] = size
        return f"… (cut: {size:,} in all)"

    def _has_secret_keys(self, value: Any, depth: int) -> bool:
        if not self.suspect or not isinstance(value, dict):
            return False
        return any(self._is_secret_key(key, depth) for key in value)

    def _is_secret_key(self, key: str | int, depth: int) -> bool:
        if not self.suspect or depth < self.schema or not isinstance(key, str):
            return False
        return self.secrets.are_in(key)
