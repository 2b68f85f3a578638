"""The server's time for every page of a large installation, compared with a small one.

1,000 workspaces with 100,000 versions, 50,000 runs and as many audit entries, against a hundredth
of that. Every page that can be opened is asked for in process, by a person who signed in, in turns
on both. Then how many SQL statements it needs, and how many bytes go over the wire.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import insert

from app import create_app
from backend.config import Settings
from backend.models import (
    AuditEntry,
    Comment,
    Project,
    Run,
    State,
    StateVersion,
    Step,
    Template,
    Workspace,
    base,
)
from backend.people import logins, passwords, users
from backend.states import states
from backend.transactions import Installation
from bench import bodies, installed
from bench.rounds import options, percentile
from tests.support.counted import counted

PASSWORD = "a password of the bench"
VERSIONS, RUNS = 100, 50  # of each workspace
OF_STATUS = ("applied",) * 40 + ("planned_and_finished",) * 5 + ("errored", "canceled") * 2
# lists with filters, and what is looked for by a text
FILTERED = (
    "/search?q=w99", "/projects/bench/runs?status=failed", "/projects/bench/runs?workspace=w7",
    "/projects/bench/workspaces?q=w9",
)  # fmt: skip
GOAL_MS, GOAL_STATEMENTS, GOAL_BYTES = 50, 8, 150_000
BROWSER = {"Accept": "text/html", "Accept-Encoding": "gzip"}


@dataclass(frozen=True)
class Page:
    """What one page cost, the time in milliseconds."""

    path: str
    times: Sequence[float]
    statements: int
    sent: int


class Site:
    """An installation of that size in this process, and somebody who looks at its pages."""

    def __init__(self, folder: Path, workspaces: int) -> None:
        self.app: Flask = create_app(Settings(data_dir=folder / "data", port=1))
        self.here: Installation = self.app.extensions["stateroom"]
        self.values = {"project": "bench", "workspace": "w0", "template": "t"}
        self._fill(workspaces)
        self._write_states(folder)
        hashed = passwords.hashed(PASSWORD)
        with self.here.itself.transaction() as tx:
            users.create(tx, "ann", password_hash=hashed, is_admin=True)
        _, secret = logins.sign_in(self.here, "ann", PASSWORD, "127.0.0.1")
        self.client: FlaskClient = self.app.test_client()
        self.client.set_cookie("stateroom_session", secret)

    def paths(self) -> Iterator[str]:
        """The address of every page that what is here can fill in."""
        for rule in self.app.url_map.iter_rules():
            if not rule.endpoint.startswith("ui-") or "GET" not in (rule.methods or ()):
                continue
            if rule.arguments <= {*self.values}:
                given = {name: self.values[name] for name in rule.arguments}
                with self.app.test_request_context():
                    yield self.app.url_for(rule.endpoint, **given)  # type: ignore[arg-type]  # names of arguments

    def ask(self, path: str) -> tuple[float, int, int]:
        """Milliseconds, statements and bytes of a page; 0 bytes: there is none."""
        with counted() as asked:
            started = time.perf_counter()
            answer = self.client.get(path, headers=BROWSER)
            lasted = (time.perf_counter() - started) * 1e3
        if answer.status_code != 200 or answer.mimetype != "text/html":
            return lasted, len(asked), 0
        return lasted, len(asked), len(answer.data)

    def _fill(self, workspaces: int) -> None:
        with self.here.itself.transaction() as tx:
            project = Project(name="bench")
            tx.db.add(project)
            tx.db.flush()
            template = Template(project_id=project.id, name="t", repository="https://x.example/r")
            tx.db.add(template)
            tx.db.flush()
            for number in range(workspaces):
                workspace = Workspace(
                    project_id=project.id, template_id=template.id, name=f"w{number}"
                )
                tx.db.add(workspace)
                tx.db.flush()
                state = states.create(tx.db, workspace)
                tx.db.execute(insert(StateVersion), [*_versions(state)])
                state.current = VERSIONS
                tx.db.execute(insert(Run), [*_runs(workspace)])
            entries = _entries(project, workspaces * RUNS)
            tx.db.execute(insert(AuditEntry), entries)
        with self.here.itself.transaction() as tx:
            self._tell_much_of_a_run(tx.db)

    def _tell_much_of_a_run(self, db: Any) -> None:
        workspace = db.query(Workspace).filter_by(name="w0").one()
        run = db.query(Run).filter_by(workspace_id=workspace.id).order_by(Run.id.desc()).first()
        self.values["run"] = run.id
        names = ("clone", "detect", "override", "init", "plan", "apply", "collect")
        db.add_all(
            Step(run_id=run.id, epoch=1, position=at, name=name, status="done")
            for at, name in enumerate(names)
        )
        db.add_all(Comment(run_id=run.id, text="Why?", created_by="bob") for _ in range(20))

    def _write_states(self, folder: Path) -> None:
        """Real documents as the newest versions of the first workspace."""
        token = (folder / "data" / "admin-token").read_text(encoding="ascii").strip()
        document = bodies.structured(500_000)
        for serial in (b"1000000001", b"1000000002"):
            body = document.replace(str(bodies.FIRST_SERIAL).encode(), serial, 1)
            answer = self.app.test_client().post(
                "/api/terraform/state/bench/w0",
                data=body,
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            )
            if answer.status_code != 200:
                raise RuntimeError(answer.get_data(as_text=True))


def _versions(state: State) -> Iterator[dict[str, Any]]:
    now = datetime.now(UTC)
    for number in range(1, VERSIONS + 1):
        yield {
            "id": base.new_id("sv"), "state_id": state.id, "number": number, "serial": number,
            "lineage": bodies.LINEAGE, "terraform_version": "1.11.4", "size": 100_000,
            "md5": bytes(16), "sha256": bytes(32), "created_by": "ann", "key_id": "none",
            "wrapped_key": b"", "sealed": b"",
            "created_at": now - timedelta(hours=VERSIONS - number),
        }  # fmt: skip


def _runs(workspace: Workspace) -> Iterator[dict[str, Any]]:
    now = datetime.now(UTC)
    for number in range(RUNS):
        at = now - timedelta(hours=12 * (RUNS - number))
        yield {
            "id": base.new_id("run"), "project_id": workspace.project_id,
            "template_id": workspace.template_id, "workspace_id": workspace.id,
            "operation": "apply", "status": OF_STATUS[number % len(OF_STATUS)],
            "message": f"Change {number}", "created_by": "ann", "created_at": at,
            "started_at": at, "finished_at": at + timedelta(minutes=1), "epoch": 1,
            "changes": {"add": 1, "change": 2, "destroy": 0}, "commit": "0123456789abcdef" * 2,
        }  # fmt: skip


def _entries(project: Project, count: int) -> list[dict[str, Any]]:
    return [
        {"id": base.new_id("aud"), "principal": "ann", "action": "run.queue", "object": "run_x",
         "project_id": project.id, "detail": {"operation": "apply"}}
        for _ in range(count)
    ]  # fmt: skip


def measure(large: Site, small: Site, times: int) -> list[Page]:
    """Ask for every page of both, in turns, and print what it cost."""
    found = []
    print(f"{'page':58} {'p95':>8} {'small':>8} ratio  SQL     bytes")
    for path in sorted([*large.paths(), *FILTERED]):
        theirs_path = path.replace(large.values["run"], small.values["run"])
        large.ask(path), small.ask(theirs_path)  # templates are compiled, caches are warm
        ours, theirs = [], []
        for _ in range(times):
            ours.append(large.ask(path))
            theirs.append(small.ask(theirs_path))
        page = Page(path, [one[0] for one in ours], ours[0][1], ours[0][2])
        if page.sent:
            found.append(page)
            _show(page, [one[0] for one in theirs], large.values["run"])
    return found


def _show(page: Page, theirs: Sequence[float], run_id: str) -> None:
    p95, other = percentile(page.times, 95), percentile(theirs, 95)
    over = "  OVER" if _is_over(page) else ""
    name = page.path.replace(run_id, "RUN")
    print(
        f"{name[:58]:58} {p95:6.1f}ms {other:6.1f}ms {p95 / other:5.2f} {page.statements:4} "
        f"{page.sent:9,}{over}",
        flush=True,
    )


def _is_over(page: Page) -> bool:
    slow = percentile(page.times, 95) > GOAL_MS
    return slow or page.statements > GOAL_STATEMENTS or page.sent > GOAL_BYTES


def main() -> None:
    parser = options(__doc__)
    given: argparse.Namespace = parser.parse_args()
    many, few = (20, 2) if given.quick else (1_000, 10)
    times = given.rounds or (2 if given.quick else 20)
    with installed.scratch() as folder:
        large = Site(folder / "large", many)
        small = Site(folder / "small", few)
        pages = measure(large, small, times)
    over = [page for page in pages if _is_over(page)]
    slowest = max(pages, key=lambda page: percentile(page.times, 95))
    print(
        f"{len(pages)} pages, {len(over)} over a goal (p95 {GOAL_MS} ms, {GOAL_STATEMENTS} "
        f"statements, {GOAL_BYTES:,} bytes); slowest {slowest.path}"
    )


if __name__ == "__main__":
    main()
