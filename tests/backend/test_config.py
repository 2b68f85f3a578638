from __future__ import annotations

import pytest

from backend import environ
from backend.config import WrongSetting


def test_the_address_of_the_server_is_its_own_setting() -> None:
    settings = environ.load({"STATEROOM_PUBLIC_URL": "https://stateroom.example.com/"})

    assert settings.url == "https://stateroom.example.com"
    assert settings.local_url == "http://127.0.0.1:8420"


@pytest.mark.parametrize(
    "environment",
    [
        {"STATEROOM_PUBLIC_URL": "https://a.example.com", "STATEROOM_URL": "https://b.example.com"},
        {"STATEROOM_URL": "http://127.0.0.1:8420/"},
        {"STATEROOM_URL": ""},
        {},
    ],
    ids=["both", "what holds anyway", "empty", "neither"],
)
def test_the_clients_address_beside_it_changes_nothing(environment: dict[str, str]) -> None:
    settings = environ.load(environment)
    environ.refuse_clients_url(settings, environment)

    assert settings.url == environment.get("STATEROOM_PUBLIC_URL", "http://127.0.0.1:8420")
    assert "STATEROOM_URL" not in environ.variables(environment)


def test_the_clients_address_alone_is_not_taken_for_the_servers() -> None:
    environment = {"STATEROOM_URL": "https://stateroom.example.com"}

    with pytest.raises(WrongSetting) as refused:
        environ.refuse_clients_url(environ.load(environment), environment)

    assert "STATEROOM_PUBLIC_URL" in str(refused.value)


def test_a_file_with_the_old_name_is_told_the_new_one() -> None:
    with pytest.raises(WrongSetting, match="STATEROOM_PUBLIC_URL_FILE"):
        environ.load({"STATEROOM_URL_FILE": "/run/secrets/url"})
