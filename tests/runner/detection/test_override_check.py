"""After init: the tool's own notes about its backend decide whether the run goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.detection.detect import Verdict
from runner.detection.override import check_initialised, check_own_backend
from runner.errors import DetectionError
from runner.job import Backend

ADDRESS = "https://rooms.example/api/terraform/state/net/prod"
BACKEND = Backend(ADDRESS, ADDRESS, ADDRESS, "run-1", "secret-of-the-run")


def noted(folder: Path, document: object) -> Path:
    (folder / "terraform.tfstate").write_text(json.dumps(document))
    return folder


HTTP = {"address": ADDRESS, "lock_address": ADDRESS, "unlock_address": ADDRESS}


def test_our_backend_is_recognised_after_init(tmp_path: Path) -> None:
    check_initialised(noted(tmp_path, {"backend": {"type": "http", "config": HTTP}}), BACKEND)


@pytest.mark.parametrize(
    "document",
    [
        {"backend": {"type": "http", "config": HTTP | {"address": ADDRESS + "2"}}},
        {"backend": {"type": "http", "config": HTTP | {"lock_address": None}}},
        {"backend": {"type": "http", "config": HTTP | {"unlock_address": ""}}},
        {"backend": {"type": "local", "config": HTTP}},
        {"backend": {"type": "http", "config": [ADDRESS]}},
        *({"backend": {"type": "http"}}, {"backend": None}, {}, [], None, "http"),
    ],
)
def test_any_other_note_of_init_stops_the_run(document: object, tmp_path: Path) -> None:
    with pytest.raises(DetectionError) as caught:
        check_initialised(noted(tmp_path, document), BACKEND)

    assert caught.value.code == "backend-not-ours"
    assert "secret" not in caught.value.message


def test_a_missing_note_of_init_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(DetectionError, match="uses no backend"):
        check_initialised(tmp_path, BACKEND)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\xff"])
def test_a_note_that_cannot_be_read_stops_the_run(text: str, tmp_path: Path) -> None:
    (tmp_path / "terraform.tfstate").write_text(text, encoding="latin-1")

    with pytest.raises(DetectionError):
        check_initialised(tmp_path, BACKEND)


@pytest.mark.parametrize(
    ("verdict", "used"),
    [(Verdict("backend", "s3"), "s3"), (Verdict("cloud"), "cloud"), (Verdict("backend", "é"), "é")],
)
def test_the_repositorys_own_backend_is_recognised_after_init(
    verdict: Verdict, used: str, tmp_path: Path
) -> None:
    check_own_backend(noted(tmp_path, {"backend": {"type": used}}), verdict)

    for other in ({"backend": {"type": "local"}}, {}):
        with pytest.raises(DetectionError) as caught:
            check_own_backend(noted(tmp_path, other), verdict)
        assert caught.value.code == "backend-not-used"


def test_without_a_backend_in_the_sources_no_note_of_init_is_needed(tmp_path: Path) -> None:
    check_own_backend(tmp_path, Verdict("none"))
    check_own_backend(tmp_path, Verdict("unreadable"))
