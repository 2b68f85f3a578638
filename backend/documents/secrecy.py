"""What of a state must not be shown: what it marks as sensitive, and what tells by its name."""

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
# Whoever writes a state writes these texts, of any length: no part may be tried twice, or a few
# KB of them would stop the server for a minute.
_PRIVATE_KEY_OR_LOGIN = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|://[^/\s@:]*+:[^/\s@]++@", re.IGNORECASE
)
_SETTING = re.compile(r"(?<!\w)(\w++)['\"]?+\s*+[:=]")  # inside of a longer text
_LONGEST_NAME_KEPT = 256


def is_telling(name: str) -> bool:
    """Whether what has this name is most likely a secret."""
    if len(name) > _LONGEST_NAME_KEPT:
        return _TELLING.search(name) is not None
    return _is_telling(name)


@lru_cache(4096)  # the same few names come again and again
def _is_telling(name: str) -> bool:
    return _TELLING.search(name) is not None


def is_secret_text(text: str) -> bool:
    """Whether this value is, or holds, a secret. A JSON text that speaks of one counts."""
    if text.lstrip()[:1] in {"{", "["} and _TELLING.search(text):
        return True
    if _PRIVATE_KEY_OR_LOGIN.search(text):
        return True
    return any(_TELLING.search(name[1]) for name in _SETTING.finditer(text))


def marked(steps: Iterable[Any]) -> Path:
    """A path of `sensitive_attributes`; what cannot be read of it hides more, and never less."""
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
    """What is to be hidden below one resource or output."""

    def __init__(self, paths: Collection[Path] = (), *, everything: bool = False) -> None:
        self._paths = frozenset(paths)
        self._everything = everything or () in self._paths

    def hides(self, path: Path) -> bool:
        """Whether the value there is hidden; the ones above it are known not to be."""
        if self._everything or path in self._paths:
            return True
        return bool(path) and isinstance(path[-1], str) and is_telling(path[-1])

    def shown(self, value: Any, path: Path) -> Any:
        """The value with everything inside of it hidden that has to be."""
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
    """Whether it is a setting of its own: {"name": "DB_PASSWORD", "value": …}."""
    for name in NAMES:
        said = value.get(name)
        if isinstance(said, str) and is_telling(said):
            return True
    return False
