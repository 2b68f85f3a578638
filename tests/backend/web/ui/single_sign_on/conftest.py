"""An application that knows an OpenID provider, and a browser in front of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from backend.config import Settings
from backend.people.oidc import provider as asked_provider
from tests.support.openid import CLIENT_ID, CLIENT_SECRET, Provider
from tests.support.single_sign_on import (
    ROLES,
)
from tests.support.visitor import Visitor


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setattr(asked_provider, "_kept", {})
    monkeypatch.setattr(asked_provider, "PAUSE_SECONDS", 0.0)
    made = Provider()
    yield made
    made.stop()


@pytest.fixture
def settings(settings: Settings, provider: Provider, request: pytest.FixtureRequest) -> Settings:
    return settings.model_copy(
        update={
            "oidc_issuer": provider.url,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": CLIENT_SECRET,
            "oidc_name": "Example ID",
            "oidc_roles": ROLES,
            **getattr(request, "param", {}),
        }
    )


@pytest.fixture
def browser(app: Flask, shop: str) -> Visitor:
    return Visitor(app)
