"""The rules of a template, held against a plan, against who approves it, and against the clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.catalogue import addresses, windows
from backend.catalogue.rules import Rules, type_matches
from backend.errors import Conflict, Forbidden, Unreadable
from backend.models import Run, Template, Token
from backend.principal import Principal

BROKEN = "rule-broken"
NAMED = 10  # addresses in a message; the others are counted
LONGEST = 200  # letters of one address in a message
OVERRULES = "templates:manage"  # the scope of somebody who may overrule a rule

# refuse: the run ends; ask: it waits for who may overrule; approval: it waits for a person
Decision = Literal["refuse", "ask", "approval"]
_Change = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """A rule that has something to say about a plan, and what follows from it."""

    rule: str
    message: str
    decision: Decision

    def stored(self) -> dict[str, str]:
        return asdict(self)


def of(template: Template) -> Rules:
    """The rules of a template, as they are now.

    Raises Unreadable for what this version, or this machine, does not understand: a rule of a
    newer version, or a time zone that is not known here.
    """
    try:
        return Rules.model_validate(template.rules)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        raise Unreadable(
            f"The rules of the template {template.name} cannot be read: {wrong['msg']} Set them "
            "again.",
            code="rules-unreadable",
        ) from None


def refuse_at_once(rules: Rules, operation: str) -> None:
    """Raise Conflict when no plan of this operation could keep the rules."""
    refuses = not rules.allow_destroys and rules.decision("allow_destroys") == "refuse"
    if operation == "destroy" and refuses:
        raise Conflict(
            "The template does not allow to destroy anything (allow_destroys in its rules), so "
            "that this run would end as soon as it is planned. Change the rules of the template "
            "first, if this is meant.",
            code=BROKEN,
            rule="allow_destroys",
        )


def judge(rules: Rules, plan: Mapping[str, Any]) -> list[Finding]:
    """What the rules say about a plan with `resources`, which have `address`, `type`, `actions`.

    The actions are those of the tool's JSON; `invocations` of actions have address and type only.
    What is forgotten is not destroyed, and what moves to another address is not changed; but
    neither may take a resource out of `protected`.
    """
    changed = [one for one in plan["resources"] if _is_managed(one) and _is_touched(one)]
    destroyed = [one for one in changed if "delete" in one["actions"]]
    found: list[Finding] = []
    if destroyed and not rules.allow_destroys:
        found.append(_broken(rules, "allow_destroys", _destroys(destroyed, "none"), destroyed))
    if rules.most_destroys is not None and len(destroyed) > rules.most_destroys:
        most = f"at most {rules.most_destroys:,}"
        found.append(_broken(rules, "most_destroys", _destroys(destroyed, most), destroyed))
    if lost := list(_out_of_protection(rules, changed)):
        said = "The plan destroys, forgets or moves away what the template protects"
        found.append(_broken(rules, "protected", said, lost))
    return [*found, *_for_persons(rules, [*changed, *plan.get("invocations", ())])]


def verdict(findings: Iterable[Finding]) -> Decision | None:
    """What all findings together mean for the run; None: there are none."""
    decisions = {finding.decision for finding in findings}
    order: Sequence[Decision] = ("refuse", "ask", "approval")
    return next((decision for decision in order if decision in decisions), None)


def reason(findings: Iterable[Finding], decision: Decision) -> str:
    """The messages of the findings with this decision, in one text."""
    return " ".join(one.message for one in findings if one.decision == decision)


def findings_of(run: Run) -> list[Finding]:
    """What was found when the plan of a run was made."""
    return [Finding(**one) for one in run.findings]  # type: ignore[arg-type]  # as it was stored


def require_may_overrule(principal: Principal, run: Run, *, overrule: bool) -> None:
    """Raise unless the plan breaks no rule, or the principal overrules what it breaks.

    Conflict when it did not say that it does, and Forbidden when it may not.
    """
    broken = reason(findings_of(run), "ask")
    if not broken:
        return
    hint = f"The plan breaks a rule, and who overrules it needs this beside runs:approve. {broken}"
    principal.require(OVERRULES, run.project_id, hint)
    if not overrule:
        raise Conflict(
            f"{broken} Whoever approves the plan all the same overrules the rule, and has to say "
            "so: `overrule` in the request, `runs approve --overrule` at the command line.",
            code=BROKEN,
        )


def opens(rules: Rules, at: datetime) -> datetime | None:
    """When the next window for applies opens; None: one is open, or there are none."""
    return windows.opens(rules.windows, at)


def expires(rules: Rules, planned_at: datetime) -> datetime | None:
    """When a plan that nobody has approved is discarded; None: never."""
    if rules.approval_hours is None:
        return None
    return planned_at + timedelta(hours=rules.approval_hours)


def identity(db: Session, principal: Principal) -> str:
    """Who asks: the id of a user, or for a token of nobody that of the first token it came from.

    It stays the same when a user is renamed, and is the same for all tokens of one user.
    """
    if principal.user_id is not None:
        return principal.user_id
    own = select(Token.id, Token.parent_id).where(Token.id == principal.token_id)
    line = own.cte(recursive=True)
    parents = select(Token.id, Token.parent_id).join(line, Token.id == line.c.parent_id)
    line = line.union(parents)
    first = select(line.c.id).where(line.c.parent_id.is_(None))
    return db.scalar(first) or principal.token_id


def require_second_person(rules: Rules, run: Run, principal: Principal) -> None:
    """Raise Forbidden when the rules want another person than the principal to approve this run.

    A token of nobody is no person: nothing says whose hands it is in.
    """
    if not rules.second_person:
        return
    if principal.user_id is None:
        raise Forbidden(
            f"The template wants a second person to approve this run, and the token "
            f"{principal.name!r} belongs to no user. Sign in as a user, or use a token of one.",
            code="second-person",
        )
    if _queued(principal, run):
        raise Forbidden(
            f"You queued this run, and the template wants a second person to approve it: ask "
            f"somebody else than {principal.name!r} with the scope runs:approve.",
            code="second-person",
        )


def _queued(principal: Principal, run: Run) -> bool:
    """Whether it was this user. Runs of before ids were stored have a name only."""
    if run.created_by_id is None:
        return run.created_by == principal.name
    return run.created_by_id == principal.user_id


def _is_managed(one: _Change) -> bool:
    return bool(one.get("mode", "managed") == "managed")


def _is_touched(one: _Change) -> bool:
    return _is_changed(one) or one.get("previous_address") is not None


def _is_changed(one: _Change) -> bool:
    """Also the invocation of an action, which has no actions of its own."""
    return not {"no-op", "read"}.issuperset(one.get("actions", ("invoke",)))


def _destroys(destroyed: Sequence[_Change], allowed: str) -> str:
    return (
        f"The plan destroys or replaces {len(destroyed):,} "
        f"resource{'' if len(destroyed) == 1 else 's'}, and the template allows {allowed}"
    )


def _out_of_protection(rules: Rules, changed: Iterable[_Change]) -> Iterator[_Change]:
    globs = [addresses.glob(text) for text in rules.protected]
    for one in changed:
        now, before = one["address"], one.get("previous_address") or one["address"]
        ends = not {"delete", "forget"}.isdisjoint(one["actions"])
        if (_protects(globs, before) and (ends or not _protects(globs, now))) or (
            ends and _protects(globs, now)
        ):
            yield one


def _protects(globs: Iterable[addresses.Glob], address: str) -> bool:
    return any(glob.matches(address) for glob in globs)


def _for_persons(rules: Rules, changed: Sequence[_Change]) -> Iterator[Finding]:
    """What keeps a plan from being applied without a person."""
    if touched := [one for one in changed if _is_changed(one) and _is_of_types(rules, one)]:
        said = "The plan changes resources of types whose change needs a person (approval_types)"
        yield Finding("approval_types", _naming(said, touched), "approval")
    if rules.second_person:
        message = "Somebody else than who queued this run has to approve it (second_person)."
        yield Finding("second_person", message, "approval")


def _is_of_types(rules: Rules, one: _Change) -> bool:
    return any(type_matches(glob, one["type"]) for glob in rules.approval_types)


def _broken(rules: Rules, rule: Any, said: str, resources: Sequence[_Change]) -> Finding:
    return Finding(rule, _naming(f"{said} ({rule})", resources), rules.decision(rule))


def _naming(said: str, resources: Sequence[_Change]) -> str:
    named = ", ".join(_shown(one["address"]) for one in resources[:NAMED])
    more = f" and {len(resources) - NAMED:,} more" if len(resources) > NAMED else ""
    return f"{said}: {named}{more}."


def _shown(address: str) -> str:
    """An address as it is told to people: it comes from the sources, which nobody vouches for."""
    harmless = "".join(letter if letter.isprintable() else "?" for letter in address)
    return harmless if len(harmless) <= LONGEST else f"{harmless[:LONGEST]}…"
