"""Runs under the rules of their template: who approves, what may be overruled, and when it starts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from backend.catalogue.windows import DAYS
from backend.db import now
from backend.errors import Conflict, Forbidden
from backend.models import AuditEntry, Plan, Run, Token, User, Workspace
from backend.people import authentication, members, tokens, users
from backend.principal import SCOPES, Principal
from backend.runs import approvals, claims, comments, inputs, plans, queue, rules
from backend.runs.plans import Bundle, Made
from backend.states import states
from backend.transactions import Caller, Installation
from tests.backend.runs.test_runs import LEASE, claim, move, queued, row
from tests.support.rows import add_workspaces

DESTROY = {"address": "a.b", "type": "a", "mode": "managed", "actions": ["delete"]}
CREATE = {"address": "a.c", "type": "a", "mode": "managed", "actions": ["create"]}
ALWAYS = {"windows": [{"zone": "UTC"}]}


@pytest.fixture
def workspace(here: Installation) -> Workspace:
    [made] = add_workspaces(here, "one")
    return made


def never_today() -> dict[str, Any]:
    """Windows that are closed now, and for more than a day."""
    later = (datetime.now(UTC) + timedelta(days=3)).weekday()
    return {"windows": [{"zone": "UTC", "days": [DAYS[later]]}]}


def set_rules(here: Installation, workspace: Workspace, given: dict[str, Any]) -> None:
    with here.itself.transaction() as tx:
        template = tx.db.get_one(Workspace, workspace.id).template
        assert template is not None
        template.rules = given


def plan_of(*resources: dict[str, Any]) -> dict[str, Any]:
    destroyed = sum("delete" in one["actions"] for one in resources)
    return {"summary": {"destroy": destroyed}, "resources": [*resources]}


def planned(
    here: Installation,
    workspace: Workspace,
    *resources: dict[str, Any],
    by: Principal | None = None,
    auto_approve: bool = False,
) -> tuple[Run, approvals.Decision]:
    """A run whose plan was judged, and waits if that is what was decided."""
    with Caller(here, by or here.itself.principal).transaction() as tx:
        new = queue.NewRun("apply", auto_approve=auto_approve)
        run_id = queue.queue(tx, tx.db.get_one(Workspace, workspace.id), new).id
    run = claim(here, run_id)
    assert run is not None
    move(here, run, "planning")
    with here.itself.reading() as tx:
        made_from = inputs.of(tx, tx.db.get_one(Run, run.id))
        state = states.of_workspace(tx.db, tx.db.get_one(Workspace, workspace.id))
        url = f"{here.settings.url}/api/terraform/state/{state.workspace.project.name}/one"
    facts = Made(made_from, url, state.current, "c" * 40, "terraform", "1.11.4", None)
    itself = Caller(here, claims.itself(run))
    with itself.transaction() as tx:
        decision = approvals.decide(tx, plan_of(*resources), "0" * 64, LEASE)
    if decision.refused is None and not decision.is_applied_at_once:
        with itself.transaction() as tx:
            plans.keep_piece(tx, 0, b"plan")
            plans.keep(tx, Bundle("0" * 64, 1), facts)
            approvals.await_one(tx, decision.approved_by)
    return row(here, run.id), decision


def approve(
    here: Installation, run: Run, by: Principal | None = None, *, overrule: bool = False
) -> Run:
    with Caller(here, by or here.itself.principal).transaction() as tx:
        project = tx.db.get_one(Run, run.id).workspace.project
        approvals.approve(tx, project, run.id, overrule=overrule)
    return row(here, run.id)


def look(here: Installation) -> None:
    with here.itself.transaction() as tx:
        approvals.look_at_planned(tx, "", 10)


def somebody(project_id: str, *scopes: str) -> Principal:
    return Principal("somebody", "", frozenset(scopes), project_id=project_id, user_id="usr_x")


def test_a_plan_that_breaks_a_rule_is_refused_and_says_why(
    here: Installation, workspace: Workspace
) -> None:
    set_rules(here, workspace, {"allow_destroys": False})

    run, decision = planned(here, workspace, DESTROY, auto_approve=True)

    assert decision.approved_by is None
    assert decision.refused is not None
    assert "a.b" in decision.refused
    assert [one["rule"] for one in run.findings] == ["allow_destroys"]


def test_a_plan_that_keeps_the_rules_is_applied_at_once_where_nobody_is_asked(
    here: Installation, workspace: Workspace
) -> None:
    set_rules(here, workspace, {"allow_destroys": False, "most_destroys": 3, **ALWAYS})

    run, decision = planned(here, workspace, CREATE, auto_approve=True)

    assert decision.is_applied_at_once
    assert (run.status, run.findings) == ("applying", [])


@pytest.mark.parametrize(
    "given",
    [
        {"most_destroys": 0, "if_broken": "ask"},
        {"approval_types": ["a"]},
        {"second_person": True},
    ],
    ids=str,
)
def test_a_plan_that_a_rule_says_anything_about_is_never_applied_by_auto_approve(
    here: Installation, workspace: Workspace, given: dict[str, Any]
) -> None:
    set_rules(here, workspace, given)
    with here.itself.transaction() as tx:
        template = tx.db.get_one(Workspace, workspace.id).template
        assert template is not None
        template.auto_approve = "always"

    run, _ = planned(here, workspace, DESTROY, auto_approve=True)

    assert (run.status, run.approved_at) == ("planned", None)
    assert len(run.findings) == 1


def test_a_broken_rule_is_overruled_by_who_may_and_says_so(
    here: Installation, workspace: Workspace
) -> None:
    set_rules(here, workspace, {"most_destroys": 0, "if_broken": "ask"})
    run, _ = planned(here, workspace, DESTROY)
    approver = somebody(run.project_id, "runs:read", "runs:approve")
    manager = somebody(run.project_id, "runs:approve", "templates:manage")

    with pytest.raises(Forbidden) as forbidden:
        approve(here, run, approver, overrule=True)
    with pytest.raises(Conflict) as unsaid:
        approve(here, run, manager)
    approved = approve(here, run, manager, overrule=True)

    assert forbidden.value.facts["scope"] == "templates:manage"
    assert unsaid.value.code == "rule-broken"
    assert "a.b" in unsaid.value.message
    assert approved.approved_by == "somebody"
    assert claim(here, run.id) is not None
    with here.itself.reading() as tx:
        said = tx.db.scalars(select(AuditEntry).where(AuditEntry.action == "run.approve")).one()
    assert said.detail["overruled"] == ["most_destroys"]


def test_a_plan_is_stale_once_the_rules_that_it_was_judged_by_have_changed(
    here: Installation, workspace: Workspace
) -> None:
    run, _ = planned(here, workspace, DESTROY)
    set_rules(here, workspace, {"allow_destroys": False})

    assert approve(here, run).status == "stale"


def test_other_rules_leave_a_plan_as_it_is(here: Installation, workspace: Workspace) -> None:
    run, _ = planned(here, workspace, DESTROY)
    set_rules(here, workspace, {"approval_hours": 2, **never_today()})

    look(here)

    assert row(here, run.id).status == "planned"


# Who is a second person


def person(here: Installation, name: str) -> User:
    with here.itself.transaction() as tx:
        users.create(tx, name)
        return tx.db.scalars(select(User).where(User.name == name)).one()


def with_token(here: Installation, user: User, name: str) -> Principal:
    """One of the tokens of a person, as a principal."""
    with here.itself.transaction() as tx:
        _, secret = tokens.store(
            tx.db, name=name, scopes=" ".join(SCOPES), user_id=user.id, created_by=user.name
        )
    with here.itself.reading() as tx:
        return authentication.authenticate(tx.db, secret)


@pytest.fixture
def ann(here: Installation, workspace: Workspace) -> User:
    return joined(here, workspace, "ann")


@pytest.fixture
def bob(here: Installation, workspace: Workspace) -> User:
    return joined(here, workspace, "bob")


def joined(here: Installation, workspace: Workspace, name: str) -> User:
    """A person who manages the project."""
    user = person(here, name)
    with here.itself.transaction() as tx:
        members.put(tx, tx.db.get_one(Workspace, workspace.id).project, name, "manager")
    return user


def test_who_queued_a_run_does_not_approve_it_with_whatever_token(
    here: Installation, workspace: Workspace, ann: User, bob: User
) -> None:
    set_rules(here, workspace, {"second_person": True})
    run, _ = planned(here, workspace, CREATE, by=with_token(here, ann, "ci"))

    for token in ("ci", "laptop", "bob"):
        with pytest.raises(Forbidden) as refused:
            approve(here, run, with_token(here, ann, token))
        assert refused.value.code == "second-person"
    assert approve(here, run, with_token(here, bob, "ann")).approved_by == "bob"


def test_a_person_stays_the_same_when_their_name_changes(
    here: Installation, workspace: Workspace, ann: User, bob: User
) -> None:
    set_rules(here, workspace, {"second_person": True})
    run, _ = planned(here, workspace, CREATE, by=with_token(here, ann, "ci"))
    with here.itself.transaction() as tx:
        tx.db.get_one(User, ann.id).name = "anna"
        tx.db.get_one(User, bob.id).name = "ann"

    with pytest.raises(Forbidden):
        approve(here, run, with_token(here, ann, "ci"))
    assert approve(here, run, with_token(here, bob, "ci")).approved_at is not None


def test_a_token_that_belongs_to_nobody_is_no_second_person(
    here: Installation, workspace: Workspace, ann: User
) -> None:
    set_rules(here, workspace, {"second_person": True})
    by_ann, _ = planned(here, workspace, CREATE, by=with_token(here, ann, "ci"))

    with pytest.raises(Forbidden) as refused:
        approve(here, by_ann)

    assert refused.value.code == "second-person"
    assert "belongs to no user" in refused.value.message


def test_what_an_automation_queued_is_approved_by_any_person(
    here: Installation, workspace: Workspace, ann: User
) -> None:
    set_rules(here, workspace, {"second_person": True})
    run, _ = planned(here, workspace, CREATE)

    assert approve(here, run, with_token(here, ann, "laptop")).approved_by == "ann"


def test_a_run_of_before_ids_were_stored_is_known_by_its_name(
    here: Installation, workspace: Workspace, ann: User, bob: User
) -> None:
    set_rules(here, workspace, {"second_person": True})
    run, _ = planned(here, workspace, CREATE, by=with_token(here, ann, "ci"))
    with here.itself.transaction() as tx:
        tx.db.execute(update(Run).values(created_by_id=None))

    with pytest.raises(Forbidden):
        approve(here, run, with_token(here, ann, "laptop"))
    approve(here, run, with_token(here, bob, "laptop"))


def test_tokens_that_were_made_with_one_another_are_one_asker(here: Installation) -> None:
    with here.itself.transaction() as tx:
        given = {"scopes": "admin", "created_by": "me"}
        first, _ = tokens.store(tx.db, name="first", **given)
        second, _ = tokens.store(tx.db, name="second", parent_id=first.id, **given)
        third, _ = tokens.store(tx.db, name="third", parent_id=second.id, **given)
        other, _ = tokens.store(tx.db, name="other", **given)

        def who(token: Token) -> str:
            return rules.identity(tx.db, Principal(token.name, token.id, frozenset()))

        assert who(first) == who(second) == who(third) == first.id
        assert who(other) == other.id


# By the clock


def test_an_approved_run_is_claimed_in_a_window_only(
    here: Installation, workspace: Workspace
) -> None:
    set_rules(here, workspace, never_today())
    run, _ = planned(here, workspace, CREATE)

    approved = approve(here, run)

    assert approved.not_before is not None
    assert approved.not_before > datetime.now(UTC) + timedelta(days=1)
    assert claim(here, run.id) is None
    with here.itself.reading() as tx:
        assert claims.claimable(tx.db, 5) == []


def test_a_claim_asks_the_rules_again(here: Installation, workspace: Workspace) -> None:
    set_rules(here, workspace, ALWAYS)
    run, _ = planned(here, workspace, CREATE)
    assert approve(here, run).not_before is None
    set_rules(here, workspace, never_today())

    assert claim(here, run.id) is None

    assert row(here, run.id).not_before is not None
    set_rules(here, workspace, ALWAYS)
    look(here)
    assert row(here, run.id).not_before is None
    assert claim(here, run.id) is not None


def test_a_plan_that_nobody_has_to_approve_waits_for_a_window_too(
    here: Installation, workspace: Workspace
) -> None:
    set_rules(here, workspace, never_today())

    run, decision = planned(here, workspace, CREATE, auto_approve=True)

    assert decision.approved_by is not None
    assert (run.status, run.approved_by) == ("planned", decision.approved_by)
    assert run.not_before == decision.not_before
    assert claim(here, run.id) is None
    with here.itself.reading() as tx:
        assert tx.db.scalars(select(Plan.approved_by)).one() == run.approved_by


def test_an_apply_that_was_not_ready_in_its_window_waits_for_the_next_one(
    here: Installation, workspace: Workspace
) -> None:
    run, _ = planned(here, workspace, CREATE)
    approve(here, run)
    taken = claim(here, run.id)
    assert taken is not None
    set_rules(here, workspace, never_today())
    itself = Caller(here, claims.itself(taken))

    with itself.transaction() as tx:
        begun = approvals.begin(tx)
    with itself.transaction() as tx:
        approvals.await_window(tx)

    after = row(here, run.id)
    assert begun is False
    assert (after.status, after.worker, after.lease_expires_at) == ("planned", None, None)
    assert after.approved_at is not None
    assert claim(here, run.id) is None
    set_rules(here, workspace, {})
    look(here)
    again = claim(here, run.id)
    assert again is not None
    with Caller(here, claims.itself(again)).transaction() as tx:
        assert approvals.begin(tx)


def wait(here: Installation, run: Run, hours: float) -> None:
    with here.itself.transaction() as tx:
        moment = now(-timedelta(hours=hours))
        tx.db.execute(update(Run).where(Run.id == run.id).values(planned_at=moment))


def test_a_plan_that_nobody_approves_in_time_is_discarded_with_a_word(
    here: Installation, workspace: Workspace
) -> None:
    set_rules(here, workspace, {"approval_hours": 2})
    run, _ = planned(here, workspace, CREATE)

    wait(here, run, 1.9)
    look(here)
    before = row(here, run.id).status
    wait(here, run, 2.1)
    look(here)

    after = row(here, run.id)
    assert (before, after.status) == ("planned", "discarded")
    with here.itself.reading() as tx:
        [said] = comments.of_run(tx.db, after)
        audited = tx.db.scalars(select(AuditEntry.action).where(AuditEntry.object == run.id)).all()
    assert (said.created_by, said.decision) == ("stateroom", "discard")
    assert "2 hours" in said.text
    assert "run.discarded" in audited


def test_a_plan_that_is_approved_in_time_waits_for_its_window_as_long_as_it_takes(
    here: Installation, workspace: Workspace
) -> None:
    set_rules(here, workspace, {"approval_hours": 2, **never_today()})
    run, _ = planned(here, workspace, CREATE)
    approve(here, run)

    wait(here, run, 50)
    look(here)

    assert row(here, run.id).status == "planned"


# Rules that this version does not understand


def test_nothing_is_applied_under_rules_that_cannot_be_read(
    here: Installation, workspace: Workspace
) -> None:
    run, _ = planned(here, workspace, CREATE)
    approve(here, run)

    set_rules(here, workspace, {"windows": [{"zone": "Mars/Olympus"}]})
    look(here)

    assert claim(here, run.id) is None
    assert row(here, run.id).status == "planned"


def test_a_plan_only_run_waits_for_no_window(here: Installation, workspace: Workspace) -> None:
    set_rules(here, workspace, never_today())

    assert claim(here, queued(here, workspace, "plan")) is not None
