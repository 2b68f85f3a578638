"""Operations on runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from backend.principal import REPORT
from backend.runs import (
    approvals,
    attention,
    claims,
    comments,
    drifts,
    figures,
    glances,
    history,
    inputs,
    logs,
    moves,
    offers,
    outlooks,
    overviews,
    own_backends,
    plan_documents,
    plans,
    previewing,
    queue,
    retrying,
    search,
    steps,
    template_uses,
    waiting,
    watching,
    windows,
    workers,
)
from backend.runs.plan_index import Wanted
from tests.support.operations.world import (
    AT,
    INSTALLATION,
    Case,
    case,
    project,
    run,
    state,
    workspace,
)

MADE = plans.Made(inputs.Inputs("", "", ""), "", None, "c", "terraform", "1.11.4", None)
# what the operations beside them call
PARTS = {"runs.claims.taken_away", "runs.comments.record", "runs.comments.with_decision"}
SOON = timedelta(seconds=30)
NO_CHANGES: dict[str, Any] = {"summary": {}, "resources": []}

CASES: dict[str, Case] = {
    "runs.approvals.approve": case(
        "runs:approve", call=lambda tx, w: approvals.approve(tx, project(tx, w), w.run_id)
    ),
    "runs.approvals.discard": case(
        any_of=("runs:approve", "runs:cancel"),
        call=lambda tx, w: approvals.discard(tx, project(tx, w), w.run_id),
    ),
    "runs.attention.find": case("runs:read", call=lambda tx, w: attention.find(tx, project(tx, w))),
    "runs.figures.per_day": case(
        "runs:read", call=lambda tx, w: figures.per_day(tx, project(tx, w))
    ),
    "runs.search.find": case(
        "runs:read", call=lambda tx, w: search.find(tx, "app", project(tx, w))
    ),
    "runs.previewing.preview": case(
        "templates:manage",
        call=lambda c, _w: previewing.preview(c, "shop", None, repository="ftp://h.example/x"),
        by_caller=True,
    ),
    "runs.template_uses.find_all": case(
        "runs:read",
        call=lambda tx, w: template_uses.find_all(tx, project(tx, w), [run(tx, w).template]),
    ),
    "runs.template_uses.find_places": case(
        "runs:read", call=lambda tx, w: template_uses.find_places(tx, run(tx, w).template)
    ),
    "runs.approvals.judge": case(
        REPORT, call=lambda tx, w: approvals.judge(tx, run(tx, w), NO_CHANGES), as_run=True
    ),
    "runs.approvals.decide": case(
        REPORT,
        call=lambda tx, _w: approvals.decide(tx, NO_CHANGES, "0" * 64, timedelta(minutes=1)),
        as_run=True,
    ),
    "runs.approvals.begin": case(REPORT, call=lambda tx, _w: approvals.begin(tx), as_run=True),
    "runs.approvals.await_window": case(
        REPORT, call=lambda tx, _w: approvals.await_window(tx), as_run=True
    ),
    "runs.windows.look_at": case(INSTALLATION, call=lambda tx, w: windows.look_at(tx, run(tx, w))),
    "runs.approvals.await_one": case(
        REPORT, call=lambda tx, _w: approvals.await_one(tx), as_run=True
    ),
    "runs.approvals.record_approval": case(
        any_of=(REPORT, "runs:approve"),
        call=lambda tx, w: approvals.record_approval(tx, run(tx, w), "somebody"),
    ),
    "runs.approvals.end_if_stale": case(
        any_of=("runs:approve", "admin"),
        call=lambda tx, w: approvals.end_if_stale(tx, run(tx, w)),
    ),
    "runs.approvals.look_at_planned": case(
        INSTALLATION, call=lambda tx, _w: approvals.look_at_planned(tx, "", 10)
    ),
    "runs.comments.add": case(
        "runs:create", call=lambda tx, w: comments.add(tx, project(tx, w), w.run_id, "Why?")
    ),
    "runs.comments.find_all": case(
        "runs:read", call=lambda tx, w: comments.find_all(tx, run(tx, w))
    ),
    "runs.glances.get": case("runs:read", call=lambda tx, _w: glances.get(tx, *AT)),
    "runs.glances.find_all": case(
        "runs:read", call=lambda tx, w: glances.find_all(tx, project(tx, w), glances.Wanted())
    ),
    "runs.history.last_detected": case(
        "runs:read", call=lambda tx, w: history.last_detected(tx, workspace(tx, w))
    ),
    "runs.history.newest": case(
        "runs:read", call=lambda tx, w: history.newest(tx, workspace(tx, w), 5)
    ),
    "runs.inputs.of": case(
        any_of=("runs:approve", "admin"), call=lambda tx, w: inputs.of(tx, run(tx, w))
    ),
    "runs.plans.approved": case(INSTALLATION, call=lambda tx, w: plans.approved(tx, run(tx, w))),
    "runs.plans.keep_piece": case(
        REPORT, call=lambda tx, _w: plans.keep_piece(tx, 0, b"x"), as_run=True
    ),
    "runs.plans.keep": case(
        REPORT, call=lambda tx, _w: plans.keep(tx, plans.Bundle("", 0), MADE), as_run=True
    ),
    "runs.plans.pieces": case(REPORT, call=lambda tx, _w: list(plans.pieces(tx)), as_run=True),
    "runs.plans.staleness": case(
        any_of=("runs:approve", "admin"), call=lambda tx, w: plans.staleness(tx, run(tx, w))
    ),
    "runs.claims.claim": case(
        INSTALLATION, call=lambda tx, w: claims.claim(tx, w.run_id, "w1", SOON)
    ),
    "runs.claims.expire_leases": case(INSTALLATION, call=lambda tx, _w: claims.expire_leases(tx)),
    "runs.claims.renew": case(REPORT, call=lambda tx, _w: claims.renew(tx, SOON), as_run=True),
    "runs.claims.own": case(REPORT, call=lambda tx, _w: claims.own(tx), as_run=True),
    "runs.claims.give_back": case(
        REPORT, call=lambda tx, _w: claims.give_back(tx, "server-unavailable", "It."), as_run=True
    ),
    "runs.claims.give_way": case(REPORT, call=lambda tx, _w: claims.give_way(tx), as_run=True),
    "runs.claims.end_waits": case(INSTALLATION, call=lambda tx, _w: claims.end_waits(tx)),
    "runs.waiting.find": case(
        any_of=("runs:read", "runs:create", "runs:cancel", "runs:approve"),
        call=lambda tx, w: waiting.find(tx, run(tx, w)),
    ),
    "runs.claims.note": case(REPORT, call=lambda tx, _w: claims.note(tx, commit="c"), as_run=True),
    "runs.logs.append": case(REPORT, call=lambda tx, _w: logs.append(tx, b"x"), as_run=True),
    "runs.logs.append_late": case(
        REPORT, call=lambda tx, _w: logs.append_late(tx, b"x"), as_run=True
    ),
    "runs.logs.pieces": case("runs:read", call=lambda tx, w: logs.pieces(tx, run(tx, w), 0, 10)),
    "runs.logs.stamped": case("runs:read", call=lambda tx, w: logs.stamped(tx, run(tx, w), 0, 10)),
    "runs.logs.tail": case("runs:read", call=lambda tx, w: logs.tail(tx, run(tx, w), 10)),
    "runs.logs.read": case("runs:read", call=lambda tx, w: logs.read(tx, run(tx, w), 0, 10)),
    "runs.moves.move": case(
        any_of=(REPORT, "runs:cancel", "runs:approve"),
        call=lambda tx, w: moves.move(tx, run(tx, w), "canceled"),
    ),
    "runs.overviews.of_workspace": case(
        any_of=("runs:read", "templates:manage", "state:unlock"),
        call=lambda tx, w: overviews.of_workspace(tx, project(tx, w), workspace(tx, w)),
    ),
    "runs.overviews.of_state": case(
        any_of=("state:read", "state:delete"),
        call=lambda tx, w: overviews.of_state(tx, state(tx, w)),
    ),
    "runs.overviews.of_run": case(
        any_of=("runs:read", "runs:create", "runs:cancel", "runs:approve"),
        call=lambda tx, w: overviews.of_run(tx, run(tx, w)),
    ),
    "runs.own_backends.use": case(
        REPORT, call=lambda tx, _w: own_backends.use(tx, "s3 bucket=x"), as_run=True
    ),
    "runs.plan_documents.store": case(
        REPORT, call=lambda tx, _w: plan_documents.store(tx, []), as_run=True
    ),
    "runs.plan_documents.read": case(
        "runs:read",
        call=lambda caller, w: plan_documents.read(caller, w.project_id, w.run_id, Wanted()),
        by_caller=True,
    ),
    "runs.plan_documents.find": case(
        "runs:read", call=lambda tx, w: plan_documents.find(tx, run(tx, w))
    ),
    "runs.plan_documents.find_resources": case(
        "runs:read", call=lambda tx, w: plan_documents.find_resources(tx, run(tx, w), 0, [])
    ),
    "runs.plan_documents.download": case(
        "runs:read",
        "state:read",
        call=lambda caller, w: plan_documents.download(caller, w.project_id, w.run_id),
        by_caller=True,
    ),
    "runs.queue.queue": case(
        "runs:create",
        "runs:approve",
        "state:write",
        call=lambda tx, w: queue.queue(tx, workspace(tx, w), queue.NewRun("import-state")),
    ),
    "runs.queue.get": case("runs:read", call=lambda tx, w: queue.get(tx, project(tx, w), w.run_id)),
    "runs.queue.of_workspace": case(
        "runs:read", call=lambda tx, w: queue.of_workspace(tx, workspace(tx, w), w.run_id)
    ),
    "runs.offers.of_workspace": case(
        "runs:create", call=lambda tx, w: offers.of_workspace(tx, project(tx, w), w.workspace_id)
    ),
    "runs.outlooks.of_run": case("runs:read", call=lambda tx, w: outlooks.of_run(tx, run(tx, w))),
    "runs.outlooks.destroys_all": case(
        "runs:read", call=lambda tx, w: outlooks.destroys_all(tx, run(tx, w))
    ),
    "runs.plan_documents.index_of": case(
        "runs:read", call=lambda tx, w: plan_documents.index_of(tx, run(tx, w))
    ),
    "runs.queue.find_all": case("runs:read", call=lambda tx, w: queue.find_all(tx, project(tx, w))),
    "runs.queue.cancel": case(
        "runs:cancel", call=lambda tx, w: queue.cancel(tx, project(tx, w), w.run_id, force=False)
    ),
    "runs.queue.acknowledge": case(
        "runs:approve", call=lambda tx, w: queue.acknowledge(tx, project(tx, w), w.run_id)
    ),
    "runs.watching.marks": case(INSTALLATION, call=lambda tx, w: watching.marks(tx, [w.run_id])),
    "runs.workers.beat": case(
        INSTALLATION, call=lambda tx, _w: workers.beat(tx, "w1", workers.Abilities(4, "namespaces"))
    ),
    "runs.workers.find_all": case(INSTALLATION, call=lambda tx, _w: workers.find_all(tx, None, 10)),
    "runs.workers.leave": case(INSTALLATION, call=lambda tx, _w: workers.leave(tx, "w1")),
    "runs.drifts.keep": case(
        REPORT, call=lambda tx, _w: drifts.keep(tx, drifts.Found(0, 0, 0, b"{}")), as_run=True
    ),
    "runs.drifts.get": case("runs:read", call=lambda tx, w: drifts.get(tx, workspace(tx, w))),
    "runs.retrying.retry": case(
        "runs:create", call=lambda tx, w: retrying.retry(tx, project(tx, w), w.run_id)
    ),
    "runs.steps.find_all": case("runs:read", call=lambda tx, w: steps.find_all(tx, run(tx, w))),
    "runs.steps.record": case(REPORT, call=lambda tx, _w: steps.record(tx, []), as_run=True),
}
