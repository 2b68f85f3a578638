from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.project import ROOT

SAY = """
import logging, sys, structlog
from backend import log_lines
log_lines.configure(sys.argv[1])
text = "a\\x1b[2Jb\\nlevel=info admin logged in\\u2028c\\x9bd"
log = structlog.get_logger()
log.warning("refused", path=text, password="hunter2")
logging.getLogger("library").warning("it said %s", text)
try:
    raise ValueError(text)
except ValueError as error:
    log.error("crashed", exc_info=error)
"""


@pytest.mark.parametrize("form", ["console", "json"])
def test_what_strangers_send_neither_makes_lines_nor_moves_the_cursor(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAY, form], cwd=ROOT, capture_output=True, check=True
    )

    said = done.stderr.decode()
    assert all(line.isprintable() for line in said.split("\n"))
    assert not any(line.startswith("level=info") for line in said.split("\n"))
    assert said.count("a\\") >= 3  # the text is there, escaped
    assert "hunter2" not in said
