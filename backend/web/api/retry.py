from __future__ import annotations

from flask import Response

from backend.catalogue import projects
from backend.runs import queue, retrying
from backend.web.api.answers import WITH_BODY, Repeatable, answer, blueprint, once, problems
from backend.web.api.run_answers import RunDetail, RunPath, detail
from backend.web.api.runs import Said
from backend.web.current import transaction

bp = blueprint("retry", "Runs once more")


@bp.post(
    "/projects/<project>/runs/<run>/retry",
    responses={201: RunDetail, **WITH_BODY, **problems(409, 500)},
)
def retry_run(path: RunPath, header: Repeatable, body: Said) -> Response:
    """Queue a run with the inputs of one that has ended.

    These are operation, ref, message, targets, replace, variables, priority and flags. Nothing else
    is kept: it plans the commit that the ref is now, with the template and the variables of the
    workspace as they are now. It is checked as every new run. 409 `run-not-ended`; `run-lost`:
    acknowledge it first.
    """
    with transaction() as tx:
        project = projects.named(tx, path.project)
        run = once(
            tx,
            header,
            lambda: retrying.retry(tx, project, path.run, body.comment),
            lambda made: queue.named(tx.db, project, made),
        )
        found = detail(tx, run)
    return answer(found, 201)
