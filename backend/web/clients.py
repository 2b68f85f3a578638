"""The address of the client that sent a request, through proxies that the operator trusts."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from werkzeug.wrappers import Request

from backend.setting_values import Network


def address_of(request: Request, trusted: Sequence[Network]) -> str:
    """The last address that no trusted proxy has; without trusted ones, who opened the connection.

    Each proxy adds to X-Forwarded-For who it got the request from, so what is right of it can be
    believed. What a client has put there itself is left of that, and is never read.
    """
    peer = request.remote_addr or ""
    if not trusted or not _is_within(peer, trusted):
        return peer
    for hop in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
        if not _is_within(hop.strip(), trusted):
            return hop.strip() or peer
    return peer


def _is_within(address: str, networks: Sequence[Network]) -> bool:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(found in network for network in networks)
