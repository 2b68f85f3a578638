"""The installation: its health, keys, workers, storage, settings, and what the doctor found."""

from __future__ import annotations

from typing import NamedTuple

from flask.typing import ResponseReturnValue

from backend.config import PREFIX, Settings
from backend.paging import MAX_LIMIT
from backend.runs import workers
from backend.upkeep import reports
from backend.web import health
from backend.web.current import installation, reading
from backend.web.ui.door import pages
from backend.web.ui.layout import page

bp = pages("installation")
# a page could not be read without the database
ASKED = ("keyring", "broker", "rows", "sandbox")


class Setting(NamedTuple):
    variable: str
    value: str
    description: str
    is_default: bool


@bp.get("/installation")
def show() -> ResponseReturnValue:
    with reading() as tx:
        found = reports.condition(tx)
        at_work = workers.find_all(tx, None, MAX_LIMIT).items
    parts = {"database": "ok", **health.states(ASKED)}
    here = installation()
    return page(
        "installation/installation.html",
        parts_of=parts,
        condition=found,
        workers=at_work,
        rows=sorted(here.suspects.items()),
        settings=shown_settings(here.settings),
        broker=here.settings.broker_url.partition(":")[0],
        database="SQLite" if here.settings.is_sqlite else "PostgreSQL",
    )


def shown_settings(settings: Settings) -> list[Setting]:
    """Every setting with its description. What may be or contain a secret is not shown."""
    found = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        is_default = value == field.get_default()
        said = "" if value is None else str(value)
        if not field.repr:
            said = "not set" if is_default else "set, not shown"
        variable = f"{PREFIX}{name.upper()}"
        found.append(Setting(variable, said, field.description or "", is_default))
    return found
