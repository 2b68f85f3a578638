"""What says which state an initialised backend has: the same text for the same state.

Two workspaces whose backends have one identity would change the same state. Read after init, from
what the tool has recorded, so that -backend-config and the sources are already merged.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from runner.detection.config_files import shown

Values = Mapping[str, Any]
Environment = Mapping[str, str]

_LONGEST = 200  # characters; the rest is replaced by its hash
_PORTS = {"http": 80, "https": 443}
# the arguments that decide, each with the environment variables that it may come from
_DECIDING: dict[str, dict[str, tuple[str, ...]]] = {
    "azurerm": {
        "environment": ("ARM_ENVIRONMENT",),
        "storage_account_name": (),
        "container_name": (),
        "key": (),
    },
    "consul": {
        "address": ("CONSUL_HTTP_ADDR",),
        "datacenter": (),
        "path": (),
    },
    "cos": {"bucket": (), "prefix": (), "key": ()},
    "gcs": {"bucket": (), "prefix": ()},
    "kubernetes": {
        "host": ("KUBE_HOST",),
        "config_context": ("KUBE_CTX",),
        "namespace": ("KUBE_NAMESPACE",),
        "secret_suffix": (),
    },
    "oci": {"namespace": (), "bucket": (), "key": ()},
    "oss": {"bucket": (), "prefix": (), "key": ()},
}
_DEFAULTS = {
    "azurerm": {"environment": "public"},
    "cos": {"prefix": "terraform/state", "key": "terraform.tfstate"},
    "kubernetes": {"namespace": "default"},
    "oci": {"key": "terraform.tfstate"},
    "oss": {"key": "terraform.tfstate"},
}
_LOCAL = ("local", "inmem")  # each run has its own
_CREDENTIAL = re.compile(r"passw|secret|token|credential|access_|private|sas|login|user|cert|skip_")


def of(noted: Mapping[str, Any], environment: Environment) -> str | None:
    """The identity of a backend as init recorded it, or None if no other run can have the same.

    It has no secret: no password, no query of an address. It is at most some 300 characters long.
    """
    kind, config = str(noted.get("type") or ""), noted.get("config")
    if not kind or kind in _LOCAL or not isinstance(config, dict):
        return None
    special = _SPECIAL.get(kind)
    parts = special(config, environment) if special else _deciding(kind, config, environment)
    name = "hcp" if kind in ("cloud", "remote") else kind
    return _short(" ".join([name, *(f"{k}={v}" for k, v in parts.items() if v)]))


def _deciding(kind: str, config: Values, environment: Environment) -> dict[str, str]:
    names = _DECIDING.get(kind)
    if names is None:  # a backend of a later release: all that is neither empty nor a credential
        plain = {k: v for k, v in sorted(config.items()) if isinstance(v, str | int | float)}
        return {k: str(v) for k, v in plain.items() if v != "" and not _CREDENTIAL.search(k)}
    defaults = _DEFAULTS.get(kind, {})
    return {
        name: _text(config, name, environment, *variables) or defaults.get(name, "")
        for name, variables in names.items()
    }


def _s3(config: Values, environment: Environment) -> dict[str, str]:
    endpoints = config.get("endpoints")
    named = endpoints.get("s3") if isinstance(endpoints, dict) else None
    variables = ("AWS_ENDPOINT_URL_S3", "AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL")
    endpoint = str(named or "") or _text(config, "endpoint", environment, *variables)
    host = _address(endpoint).partition("://")[2]
    return {  # the names of AWS's own buckets are unique in all regions
        "endpoint": "" if "amazonaws.com" in host else host,
        "bucket": _text(config, "bucket", environment),
        "key": _text(config, "key", environment),
    }


def _http(config: Values, environment: Environment) -> dict[str, str]:
    return {"address": _address(_text(config, "address", environment, "TF_HTTP_ADDRESS"))}


def _pg(config: Values, environment: Environment) -> dict[str, str]:
    given = _text(config, "conn_str", environment, "PG_CONN_STR")
    parts = _of_url(given) if given.startswith(("postgres://", "postgresql://")) else _of_dsn(given)
    host = parts.get("host") or environment.get("PGHOST") or "localhost"
    user = parts.get("user") or environment.get("PGUSER") or ""
    schema = _text(config, "schema_name", environment, "PG_SCHEMA_NAME")
    return {
        "host": "127.0.0.1" if host == "localhost" else host,
        "port": parts.get("port") or environment.get("PGPORT") or "5432",
        "database": parts.get("dbname") or environment.get("PGDATABASE") or user,
        "schema": schema or "terraform_remote_state",
    }


def _of_url(given: str) -> dict[str, str]:
    try:
        url = urlsplit(given)
        host, port = url.hostname or "", str(url.port or "")
    except ValueError:
        return {"host": hashlib.sha256(given.encode()).hexdigest()}
    named = {"host": host, "port": port, "dbname": url.path.strip("/"), "user": url.username or ""}
    return named | {k: v for k, v in parse_qsl(url.query) if k in named}


def _of_dsn(given: str) -> dict[str, str]:
    try:
        return dict(part.split("=", 1) for part in shlex.split(given) if "=" in part)
    except ValueError:
        return {"host": hashlib.sha256(given.encode()).hexdigest()}


def _hcp(config: Values, environment: Environment) -> dict[str, str]:
    """`cloud` and `remote` are two ways to the same workspaces."""
    blocks = config.get("workspaces")
    block = blocks[0] if isinstance(blocks, list) and blocks else blocks
    chosen: Mapping[str, Any] = block if isinstance(block, dict) else {}
    tags = chosen.get("tags")
    host = _text(config, "hostname", environment, "TF_CLOUD_HOSTNAME").lower()
    return {
        "host": host or "app.terraform.io",
        "organization": _text(config, "organization", environment, "TF_CLOUD_ORGANIZATION"),
        "workspace": str(chosen.get("name") or ""),
        "prefix": str(chosen.get("prefix") or ""),
        "tags": ",".join(sorted(map(str, tags))) if isinstance(tags, list | dict) else "",
    }


_SPECIAL: dict[str, Callable[[Values, Environment], dict[str, str]]] = {
    "s3": _s3,
    "http": _http,
    "pg": _pg,
    "cloud": _hcp,
    "remote": _hcp,
}


def _text(config: Values, name: str, environment: Environment, *variables: str) -> str:
    given = config.get(name)
    if given not in (None, ""):
        return str(given)
    return next((environment[v] for v in variables if environment.get(v)), "")


def _address(given: str) -> str:
    """A URL without its login, with its host in lower case and without its scheme's own port."""
    try:
        url: SplitResult = urlsplit(given)
        host, port = url.hostname or "", url.port
    except ValueError:
        return hashlib.sha256(given.encode()).hexdigest()
    if not host:
        return given
    at = host if port in (None, _PORTS.get(url.scheme)) else f"{host}:{port}"
    asked = f"?{hashlib.sha256(url.query.encode()).hexdigest()[:16]}" if url.query else ""
    return f"{url.scheme.lower()}://{at}{url.path}{asked}"


def _short(text: str) -> str:
    """Safe to print and to store, and still another text for another identity."""
    safe = shown(text[:_LONGEST])
    if safe == text:
        return text
    return f"{safe[:_LONGEST]}…{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}"
