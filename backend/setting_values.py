"""What the values of settings have to be: each check returns the value, or raises ValueError."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from backend import database_url

Network = IPv4Network | IPv6Network


def http_url(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise ValueError("must be an http or https URL")
    return value.rstrip("/")


def issuer(value: str) -> str:
    """As it is: what a provider says of itself is compared with every letter of it."""
    parts = urlsplit(value)
    if not value or (parts.scheme == "https" and parts.hostname):
        return value
    if parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}:
        return value
    raise ValueError("must be an https URL (http only on the machine itself)")


@dataclass(frozen=True)
class GroupRole:
    """What a group of the provider gives: a role in a project, or with None the installation."""

    group: str
    project: str | None
    role: str


_GIVEN = re.compile(
    r"(?P<group>.+)=(?:admin|(?P<project>[a-z0-9][a-z0-9._-]*):"
    r"(?P<role>guest|task_runner|manager|owner))"
)


def group_roles(value: str) -> str:
    parsed_group_roles(value)  # its ValueError says what is wrong
    return value


@lru_cache(maxsize=8)
def parsed_group_roles(value: str) -> tuple[GroupRole, ...]:
    return tuple(_group_role(one.strip()) for one in re.split(r"[;\n]", value) if one.strip())


def _group_role(text: str) -> GroupRole:
    found = _GIVEN.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r} must be GROUP=PROJECT:ROLE or GROUP=admin, separated by semicolons or line "
            "ends; the roles are guest, task_runner, manager and owner"
        )
    return GroupRole(found["group"].strip(), found["project"], found["role"] or "admin")


def database_address(value: str) -> str:
    if value:
        database_url.parse(value)
    return value


def broker_url(value: str) -> str:
    if not value.startswith(("filesystem://", "redis://", "rediss://", "redis+socket://")):
        raise ValueError("must be filesystem:// or start with redis://")
    return value


def networks(value: str) -> str:
    parsed_networks(value)  # its ValueError says what is wrong
    return value


@lru_cache(maxsize=8)
def parsed_networks(value: str) -> tuple[Network, ...]:
    return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())


def hosts(value: str) -> str:
    hosts = [host.strip().lower() for host in value.split(",") if host.strip()]
    if not all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?", host) for host in hosts):
        raise ValueError("must be hosts like git.example.com or git.example.com:2222")
    return ",".join(hosts)


LABEL = r"[a-z0-9][a-z0-9-]{0,31}"


def labels(value: str) -> str:
    named = [label.strip() for label in value.split(",") if label.strip()]
    if not named or not all(re.fullmatch(LABEL, label) for label in named):
        raise ValueError("must be labels like default or production, separated by commas")
    return ",".join(named)


def metrics_token(value: str) -> str:
    if value and (len(value) < 16 or not value.isascii() or not value.isprintable()):
        raise ValueError("must have at least 16 characters, all of them printable ASCII")
    return value


def user_range(value: str) -> str:
    first, _, last = value.partition("-")
    if not (first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last) < 1 << 31):
        raise ValueError("must be FIRST-LAST: two user ids above 0, the smaller one first")
    return value


def readable_file(value: Path | None) -> Path | None:
    if value is not None:
        try:
            value.open("rb").close()
        except OSError as error:
            raise ValueError(f"cannot read {value}: {error}") from None
    return value
