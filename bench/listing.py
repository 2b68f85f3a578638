"""Listing a project with 1,000 workspaces page by page; some of their states are locked.

It is compared with reading the same rows by SQL and making JSON of them; and a full page of a
project with 1,000 workspaces is compared with one of a project with 100.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import installed
from bench.installed import Addresses
from bench.rounds import interleaved, options, show, timed
from tests.support.api import Api

PAGE = 100
WORKSPACES = 1_000
QUERY = """
    SELECT w.id, w.name, w.created_at, t.name, s.id, s.current, l.held, l.held_by
    FROM workspaces w
    JOIN projects p ON p.id = w.project_id
    LEFT JOIN templates t ON t.id = w.template_id
    JOIN states s ON s.workspace_id = w.id
    JOIN locks l ON l.state_id = s.id
    WHERE p.name = ? AND w.id > ? ORDER BY w.id LIMIT ?
"""


@dataclass(frozen=True)
class Listed:
    """A project whose workspaces or locks are listed through the API."""

    api: Api
    project: str
    page_size: int

    def all(self, noun: str) -> int:
        """List all pages, and return how many items there are."""
        found, cursor = 0, None
        while True:
            page = self.api.get(
                f"/projects/{self.project}/{noun}", limit=self.page_size, cursor=cursor
            )
            found += len(page["items"])
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def page(self, noun: str) -> None:
        self.api.get(f"/projects/{self.project}/{noun}", limit=self.page_size)


def by_sql(file: Path, project: str, page_size: int) -> int:
    database = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    found, last = 0, ""
    while rows := database.execute(QUERY, (project, last, page_size)).fetchall():
        json.dumps([dict(enumerate(row)) for row in rows])
        found, last = found + len(rows), rows[-1][0]
    database.close()
    return found


def compare(name: str, ours: Callable[[], object], theirs: Callable[[], object], rounds: int,
            goal: str = "") -> None:  # fmt: skip
    found = interleaved(lambda: timed(ours) * 1e3, lambda: timed(theirs) * 1e3, rounds)
    show(name, found, "ms", goal)


def measure(folder: Path, given: argparse.Namespace) -> None:
    page_size, many = (10, 20) if given.quick else (PAGE, WORKSPACES)
    rounds = given.rounds or (2 if given.quick else 7)
    with installed.stateroom(folder) as installation:
        for project, count in (("many", many), ("few", page_size)):
            addresses = Addresses.create(installation, project, count)
            for workspace in range(0, count, 2):
                addresses.lock(workspace)
        large, small = (Listed(installation.api, name, page_size) for name in ("many", "few"))
        file = installation.data_dir / "stateroom.db"
        assert large.all("workspaces") == by_sql(file, "many", page_size) == many
        assert large.all("locks") == many // 2
        compare(f"{many:,} workspaces to SQL", lambda: large.all("workspaces"),
                lambda: by_sql(file, "many", page_size), rounds)  # fmt: skip
        compare(f"{many // 2:,} locks to SQL", lambda: large.all("locks"),
                lambda: by_sql(file, "many", page_size), rounds)  # fmt: skip
        for noun in ("workspaces", "locks"):
            compare(f"a page of {noun}, {many:,} to {page_size}", lambda n=noun: large.page(n),  # type: ignore[misc]
                    lambda n=noun: small.page(n), rounds, "<= 1.1")  # type: ignore[misc]  # fmt: skip


def main() -> None:
    given = options(__doc__).parse_args()
    with installed.scratch() as folder:
        measure(folder, given)


if __name__ == "__main__":
    main()
