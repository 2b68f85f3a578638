"""The settings as the page of the installation shows them."""

from __future__ import annotations

from backend.config import Settings
from backend.web.ui.installation import shown_settings


def test_no_secret_is_among_the_settings() -> None:
    secret = "hunter2-hunter2-hunter2"
    given = Settings(
        metrics_token=secret,
        broker_url=f"redis://:{secret}@broker.example",
        database_url=f"postgresql://me:{secret}@db.example/x",
    )

    found = {one.variable: one for one in shown_settings(given)}

    assert secret not in str(found)
    assert found["STATEROOM_METRICS_TOKEN"].value == "set, not shown"
    assert len(found) == len(Settings.model_fields)
    assert all(one.description for one in found.values())
