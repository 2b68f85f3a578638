"""Which parts of a state are secret: those it marks as sensitive, and those with a telling name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any

Path = tuple[str | int, ...]

HIDDEN = "(sensitive)"
_WORDS = (
    r"passw(or)?d|passphrase|pwd|secret|token|private_?key|api_?key|access_?key|client_?key"
    r"|credential|connection_?string|kube_?config|key_material|shared_?key|signing_?key"
    r"|encryption_?key|master_?key|auth_?key|account_?key|storage_?key|primary_?key|secondary_?key"
    r"|sas_?url|webhook_?url|dsn|sensitive"
)
_TELLING = re.compile(_WORDS, re.IGNORECASE)
# These match texts of any length that a client chose. Possessive quantifiers keep them from trying
# a part twice: with backtracking, a few KB could keep the server busy for a minute.
_PRIVATE_KEY_OR_LOGIN = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|://[^/\s@:]*+:[^/\s@]++@", re.IGNORECASE
)
_SETTING = re.compile(r"(?<!\w)(\w++)['\"]?+\s*+[:=]")  # inside a longer text
_LONGEST_NAME_KEPT = 256


def is_telling(name: str) -> bool:
    """Whether a value with this name is most likely a secret."""
    if len(name) > _LONGEST_NAME_KEPT:
        return _TELLING.search(name) is not None
    return _is_telling(name)


@lru_cache(4096)  # a state repeats the same few names
def _is_telling(name: str) -> bool:
    return _TELLING.search(name) is not None


def is_secret_text(text: str) -> bool:
    """Whether this value is or contains a secret, also inside JSON text."""
    if text.lstrip()[:1] in {"{", "["} and _TELLING.search(text):
        return True
    if _PRIVATE_KEY_OR_LOGIN.search(text):
        return True
    return any(_TELLING.search(name[1]) for name in _SETTING.finditer(text))


def marked(steps: Iterable[Any]) -> Path:
    """A path of `sensitive_attributes`. A part that cannot be read makes it hide more, not less."""
    path: list[str | int] = []
    for step in steps:
        value = step.get("value") if isinstance(step, dict) else None
        if isinstance(value, dict):  # an index: {"value": 0, "type": "number"}
            value = value.get("value")
        if isinstance(value, bool) or not isinstance(value, str | int):
            break
        path.append(value)
    return tuple(path)


class Mask:
    """What to hide in one resource or output."""

    def __init__(self, paths: Collection[Path] = (), *, everything: bool = False) -> None:
        self._paths = frozenset(paths)
        self._everything = everything or () in self._paths

    def hides(self, path: Path) -> bool:
        """Whether the value at this path is hidden. The caller has checked the paths above it."""
        if self._everything or path in self._paths:
            return True
        return bool(path) and isinstance(path[-1], str) and is_telling(path[-1])

    def shown(self, value: Any, path: Path) -> Any:
        """The value with its secret parts hidden."""
        if value is None:
            return None
        if self.hides(path) or (isinstance(value, str) and is_secret_text(value)):
            return HIDDEN
        if isinstance(value, dict):
            named = names_a_secret(value)
            return {
                name: HIDDEN if named and name not in NAMES else self.shown(part, (*path, name))
                for name, part in value.items()
            }
        if isinstance(value, list):
            return [self.shown(part, (*path, index)) for index, part in enumerate(value)]
        return value


NAMES = ("name", "key")


def names_a_secret(value: dict[str, Any]) -> bool:
    """Whether it is a setting with a telling name: {"name": "DB_PASSWORD", "value": …}."""
    for name in NAMES:
        said = value.get(name)
        if isinstance(said, str) and is_telling(said):
            return True
    return False
