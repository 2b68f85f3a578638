"""docs/failures.md, as the catalogue of failures has it. `make failures` writes it."""

from __future__ import annotations

from backend.runs import failures
from tests.support.project import ROOT

PAGE = ROOT / "docs" / "failures.md"


def tables() -> str:
    """One table for each group of failures."""
    groups = dict.fromkeys(failure.group for failure in failures.catalogue().values())
    return "\n".join(_table(group) for group in groups)


def write() -> None:
    """Replace the tables of the page. The text before them stays."""
    text = PAGE.read_text(encoding="utf-8").partition("## ")[0]
    PAGE.write_text(text + tables(), encoding="utf-8")


def _table(group: str) -> str:
    rows = [
        f"| `{code}` | {failure.means} | {_steps(failure)} |"
        for code, failure in failures.catalogue().items()
        if failure.group == group
    ]
    return "\n".join([f"## {group}\n", "| code | means | next |", "|---|---|---|", *rows, ""])


def _steps(failure: failures.Failure) -> str:
    return "<br>".join(failures.filled(step, {}) for step in failure.steps)


if __name__ == "__main__":
    write()
