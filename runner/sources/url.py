"""The gate that every repository address goes through before git sees it.

`check_address` looks at the address alone, and is asked when a template is made, too. `admit` also
looks at where its host's name leads, before every clone.

What DNS can still do: a name is resolved here, and again by git. For http and https git is told the
addresses that were looked at, so a name that changes in between (DNS rebinding) gains nothing. For
ssh it is not: a name can lead ssh to a private address, where it says hello and leaves again, since
no host key is known there (unless new host keys are accepted). Behind a proxy names are the proxy's
to resolve and to refuse.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from runner.errors import SourceError
from runner.job import SourcePolicy

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

_SCP_FORM = re.compile(
    r"(?:(?P<user>[\w.+-]+)@)?(?P<host>[\w.-]+|\[[0-9A-Fa-f:.]+\]):(?P<path>.+)", re.ASCII
)
_HOST = re.compile(r"[\w.-]+|[0-9A-Fa-f:.]+", re.ASCII)
SSH_PORT = 22
PORTS = {"https": 443, "http": 80, "ssh": SSH_PORT}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# the one cloud metadata address that looks public: Azure's
_METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})


@dataclass(frozen=True)
class Address:
    """An address that was let through, as git gets it: no user for https, file:// for a path.

    `resolved`: the addresses that the host was found to have; empty when nobody asked.
    """

    url: str
    scheme: str
    host: str = ""
    port: int = 0
    resolved: tuple[str, ...] = ()


def admit(url: str, policy: SourcePolicy) -> Address:
    """Let an address through. Resolves names, which may take seconds.

    Raises SourceError: `repository-url-refused`, `repository-host-refused`,
    `repository-unreachable` (the name does not resolve).
    """
    address = check_address(url, policy)
    if address.scheme == "file":
        return address
    return replace(address, resolved=_resolved(address, policy))


def check_address(url: str, policy: SourcePolicy) -> Address:
    """The address, as far as it can be judged without asking where its host is.

    Raises SourceError `repository-url-refused`, naming the setting that would allow it.
    """
    _refuse_tricks(url)
    if url.startswith(("/", "file:")):
        return _local(url, policy)
    if "://" not in url:
        return _scp_form(url)
    parts = _split(url)
    if parts.scheme == "ssh":
        return _remote(url, parts)
    if parts.scheme == "https" or (parts.scheme == "http" and policy.plain_http):
        host = parts.netloc.rpartition("@")[2]
        return _remote(parts._replace(netloc=host).geturl(), parts)
    if parts.scheme == "http":
        raise _refused(
            "plain http is not allowed here. Use https, or ask an administrator to set "
            "STATEROOM_ALLOW_PLAIN_HTTP"
        )
    raise _refused("only https://, ssh:// and user@host:path are allowed")


def path_of(address: Address) -> str:
    """The path of the repository at its host, without a slash before it and .git after it."""
    if "://" in address.url:
        path = urlsplit(address.url).path
    else:
        match = _SCP_FORM.fullmatch(address.url)
        path = match["path"] if match else ""
    return path.strip("/").removesuffix(".git")


def _refuse_tricks(url: str) -> None:
    """What git, ssh or a shell could take for something else than an address."""
    without_ipv6 = re.sub(r"\[[0-9A-Fa-f:.]+\]", "", url)
    if not url or not url.isprintable():
        raise _refused("it is empty or has control characters in it")
    if url.startswith("-"):
        raise _refused("it begins with '-'")
    if "::" in without_ipv6:
        raise _refused("it names a transport helper ('::')")
    if "\\" in url or (" " in url and not url.startswith("/")):
        raise _refused("it has a blank or a backslash in it")
    if re.search(r"%(?:[01][0-9A-Fa-f]|7[Ff])", url):
        raise _refused("it has encoded control characters in it")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _refused("it cannot be read") from error
    if parts.password is not None:
        raise _refused("it has a password in it: store it as a key, and choose that key")
    host = parts.hostname or ""
    if not _HOST.fullmatch(host) or host.startswith("-") or port == 0:
        raise _refused("its host or port cannot be read")
    if (parts.username or "").startswith("-") or parts.netloc.count("@") > 1:
        raise _refused("its user cannot be read")
    if parts.fragment or parts.path in ("", "/") or parts.path.startswith("/-"):
        raise _refused("it has no path to a repository")
    return parts


def _remote(url: str, parts: SplitResult) -> Address:
    return Address(url, parts.scheme, parts.hostname or "", parts.port or PORTS[parts.scheme])


def _scp_form(url: str) -> Address:
    match = _SCP_FORM.fullmatch(url)
    if not match:
        raise _refused("only https://, ssh:// and user@host:path are allowed")
    host = match["host"].strip("[]")
    if any(part.startswith("-") for part in (match["user"] or "", host, match["path"])):
        raise _refused("a part of it begins with '-'")
    return Address(url, "ssh", host, SSH_PORT)


def _local(url: str, policy: SourcePolicy) -> Address:
    """A repository on this machine, by real path. As a file:// URL git copies nothing unasked."""
    if not policy.local_roots:
        raise _refused(
            "repositories on the worker's own disk are not allowed here. An administrator lists "
            "the folders that may be cloned in STATEROOM_LOCAL_REPOSITORIES"
        )
    if url.startswith("file:"):
        if not url.startswith("file:///"):
            raise _refused("a file:// address has three slashes")
        url = unquote(url.removeprefix("file://"))
    path = Path(url).resolve()
    roots = [root.resolve() for root in policy.local_roots]
    if not any(path.is_relative_to(root) for root in roots):
        raise _refused(
            "it is outside of the folders that an administrator listed in "
            "STATEROOM_LOCAL_REPOSITORIES"
        )
    return Address(path.as_uri(), "file")


def _resolved(to: Address, policy: SourcePolicy) -> tuple[str, ...]:
    """The host's addresses, all of them public; nobody is asked where private hosts are allowed."""
    if policy.private_hosts:
        return ()
    try:
        found = socket.getaddrinfo(to.host, to.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        if to.scheme == "https" and (
            os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
        ):
            return ()
        raise SourceError(
            "repository-unreachable",
            f"The name {to.host} does not resolve: check the repository's URL.",
        ) from error
    addresses = tuple(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    if not all(_is_public(ipaddress.ip_address(address)) for address in addresses):
        raise SourceError(
            "repository-host-refused",
            f"The host {to.host} has a private, local or metadata address: an administrator has to "
            "set STATEROOM_ALLOW_PRIVATE_HOSTS first.",
        )
    return addresses


def _is_public(address: _Ip) -> bool:
    return all(
        ip.is_global and not ip.is_multicast and ip not in _METADATA for ip in _meant(address)
    )


def _meant(address: _Ip) -> Iterator[_Ip]:
    """The address, and the IPv4 address that it carries for a gateway to unpack."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    if address.ipv4_mapped:  # python does not call these global
        yield address.ipv4_mapped
        return
    yield address
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield address.teredo[1]
    if address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _refused(why: str) -> SourceError:
    return SourceError("repository-url-refused", f"The repository's URL is refused: {why}.")
