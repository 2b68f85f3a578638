from __future__ import annotations

from pathlib import Path

import pytest

from runner.detection.detect import Verdict
from runner.errors import DetectionError
from runner.job import Standing
from runner.recipes import forks
from tests.support.tool_run import job

NONE = Verdict("none")
S3 = Verdict("backend", "s3", "backend.tf", 2)


@pytest.mark.parametrize(
    ("verdict", "injected", "standing", "elsewhere", "code"),
    [
        (S3, False, "in use", None, "state-would-fork"),
        (S3, False, "empty", None, None),
        (S3, False, "unwritten", "backend:s3", None),
        (S3, False, "archived", None, None),
        (S3, True, "in use", "backend:s3", None),
        (S3, True, "unwritten", "backend:s3", "state-elsewhere"),
        (S3, True, "archived", None, "state-archived"),
        (NONE, True, "unwritten", "backend:s3", "state-elsewhere"),
        (NONE, True, "unwritten", None, None),
        (NONE, True, "empty", "backend:s3", None),
        (NONE, True, "in use", "backend:s3", None),
        (NONE, True, "archived", None, "state-archived"),
        (NONE, False, "in use", None, None),
    ],
)
def test_no_run_begins_a_second_state(
    tmp_path: Path,
    verdict: Verdict,
    injected: bool,  # noqa: FBT001 a parameter of a table
    standing: Standing,
    elsewhere: str | None,
    code: str | None,
) -> None:
    this = job(tmp_path, standing=standing, elsewhere=elsewhere)

    try:
        forks.refuse(this, verdict, injected=injected)
    except DetectionError as refused:
        assert refused.code == code  # noqa: PT017 None is an answer too
    else:
        assert code is None


def test_with_start_empty_a_run_may_begin_although_a_state_is_elsewhere(tmp_path: Path) -> None:
    this = job(tmp_path, elsewhere="backend:s3", start_empty=True)

    forks.refuse(this, NONE, injected=True)
