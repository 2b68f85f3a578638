from __future__ import annotations

from datetime import datetime
from typing import Literal

from flask import Response
from pydantic import Field

from backend.errors import NotFound
from backend.upkeep import reports
from backend.web.api.answers import WITH_BODY, Answer, Body, answer, blueprint
from backend.web.current import reading, transaction

bp = blueprint("installation", "The installation itself, for its administrators")


class DoctorCheck(Body):
    theme: str = Field(max_length=100)
    check: str = Field(max_length=300)
    outcome: Literal["ok", "fail", "warn", "skip"]
    blocked: bool = False
    seen: str = Field("", max_length=20_000)
    means: str = Field("", max_length=20_000)
    do: str = Field("", max_length=20_000)
    seconds: float = 0.0


class DoctorReport(Body):
    """What `stateroom doctor --json` prints."""

    url: str = Field(max_length=1000)
    version: str = Field(max_length=100)
    sound: bool
    checks: list[DoctorCheck] = Field(max_length=500)


class StoredReport(Answer):
    at: datetime
    by: str
    content: DoctorReport


@bp.get("/installation/doctor", responses={200: StoredReport})
def get_doctors_report() -> Response:
    """What `stateroom doctor --report` found last. 404 when it never reported."""
    with reading() as tx:
        found = reports.get(tx, reports.DOCTOR)
    if found is None:
        raise NotFound("The doctor has not reported yet: stateroom doctor --report.")
    return answer(StoredReport.model_validate(found))


@bp.put("/installation/doctor", responses={200: StoredReport, **WITH_BODY})
def put_doctors_report(body: DoctorReport) -> Response:
    """Keep the result of `stateroom doctor`, for the page of the installation."""
    with transaction() as tx:
        stored = reports.store_doctor(tx, body.model_dump())
    return answer(StoredReport.model_validate(stored))
