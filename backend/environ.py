"""Settings from the environment: STATEROOM_NAME, or a file that STATEROOM_NAME_FILE names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from backend.config import PREFIX, Settings, WrongSetting

# Variables of the commands that talk to a server, which may be in the same environment.
OF_THE_CLIENT = {
    f"{PREFIX}{name}" for name in ("URL", "TOKEN", "TOKEN_FILE", "PROJECT", "WORKSPACE")
}
_CLIENTS_URL = f"{PREFIX}URL"  # in 0.1 it was the server's
_PUBLIC_URL = f"{PREFIX}PUBLIC_URL"


def load(environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """Settings from the environment; those given on the command line win.

    Raises WrongSetting, with one line that names the first wrong setting.
    """
    values = _from_environment(os.environ if environ is None else environ)
    values |= {name: value for name, value in given.items() if value is not None}
    try:
        found = Settings(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        reason = first["msg"].removeprefix("Value error, ")
        raise WrongSetting(f"{name.rstrip('_')}: {reason}".replace("\n", " ")) from None
    found._named_files = _named_files(os.environ if environ is None else environ)  # noqa: SLF001 ours
    return found


def refuse_clients_url(settings: Settings, environ: Mapping[str, str]) -> None:
    """Raise WrongSetting when only the client's variable has the address of this server.

    It is ignored if it has the default address: a shell may have set it for the commands.
    """
    told = environ.get(_CLIENTS_URL, "").rstrip("/")
    if told and not settings.public_url and told != settings.local_url:
        raise WrongSetting(
            f"{_CLIENTS_URL}: a server takes its address from {_PUBLIC_URL}. Set that to the "
            f"address at which this server is reached, or unset {_CLIENTS_URL}."
        )


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that must be settings: all that begin with PREFIX except the client's."""
    ours = {name: text for name, text in environ.items() if name.startswith(PREFIX)}
    return {name: text for name, text in ours.items() if name not in OF_THE_CLIENT}


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, text in variables(environ).items():
        name = variable.removeprefix(PREFIX).lower()
        if name in Settings.model_fields:
            values.setdefault(name, text)
        elif name.endswith("_file") and name[:-5] in Settings.model_fields:
            values[name[:-5]] = _read(variable, text)
        else:
            hint = f": it is {_PUBLIC_URL}_FILE" if variable == f"{_CLIENTS_URL}_FILE" else ""
            raise WrongSetting(f"{variable}: there is no such setting{hint}")
    return values


def _named_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    ours = (name for name in environ if name.startswith(PREFIX) and name.endswith("_FILE"))
    return tuple(Path(environ[name]) for name in ours if environ[name])


def _read(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongSetting(f"{variable}: cannot read {path}: {error}") from None
