"""Asking ssh servers for their host keys, for the server: what may be asked, runs may clone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from backend.errors import Invalid
from client import host_keys
from client.host_keys import NoHostKey, Place
from runner.errors import SourceError
from runner.job import SourcePolicy
from runner.sources import url

SECONDS = 5  # that a server has to answer in


def scanner(policy: SourcePolicy) -> Callable[[str], list[str]]:
    """A function that asks HOST or HOST:PORT for its keys: lines of a known_hosts file.

    It raises Invalid for a host that workers would refuse, and for one that shows no key.
    """

    def scan(host: str) -> list[str]:
        try:
            where = host_keys.place(host.strip())
            address = url.admit(f"ssh://{_bracketed(where)}/repository", policy)
            # the address that was looked at, so that the name cannot lead elsewhere meanwhile
            asked = replace(where, host=min(address.resolved, key=_is_v6, default=where.host))
            found = host_keys.scan(asked, SECONDS)
        except NoHostKey as none:
            raise Invalid(str(none), code="no-host-key", field="host") from None
        except SourceError as refused:
            raise Invalid(refused.message, code=refused.code, field="host") from None
        return [replace(key, hosts=where.name).line for key in found]

    return scan


def _bracketed(where: Place) -> str:
    host = f"[{where.host}]" if ":" in where.host else where.host
    return f"{host}:{where.port}"


def _is_v6(address: str) -> bool:
    return ":" in address
