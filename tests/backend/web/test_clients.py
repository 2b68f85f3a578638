"""Who the client is, with and without proxies that are trusted."""

from __future__ import annotations

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from backend import environ
from backend.config import Settings, WrongSetting
from backend.web import clients

PROXIES = "10.0.0.1, 192.168.7.0/24, fd00::/8"
CLIENT, OTHER = "203.0.113.5", "198.51.100.9"


def asked(peer: str, forwarded: str | None) -> Request:
    headers = [] if forwarded is None else [("X-Forwarded-For", forwarded)]
    return Request(
        EnvironBuilder(headers=headers, environ_base={"REMOTE_ADDR": peer}).get_environ()
    )


def test_without_trusted_proxies_the_header_says_nothing() -> None:
    assert clients.address_of(asked("10.0.0.1", CLIENT), ()) == "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", CLIENT, CLIENT),
        ("fd00::7", CLIENT, CLIENT),
        ("10.0.0.1", f"{CLIENT}, 192.168.7.9", CLIENT),
        ("10.0.0.1", f"{OTHER}, {CLIENT}", CLIENT),  # the client has put the other one there
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "192.168.7.9", "10.0.0.1"),
        (OTHER, CLIENT, OTHER),  # no proxy that is trusted
        ("", CLIENT, ""),
    ],
)
def test_a_trusted_proxy_says_who_the_client_is(
    peer: str, forwarded: str | None, client: str
) -> None:
    trusted = Settings(trusted_proxies=PROXIES).trusted_networks

    assert clients.address_of(asked(peer, forwarded), trusted) == client


def test_a_wrong_network_stops_the_start() -> None:
    with pytest.raises(WrongSetting, match="STATEROOM_TRUSTED_PROXIES"):
        environ.load({"STATEROOM_TRUSTED_PROXIES": "10.0.0.1/8"})
