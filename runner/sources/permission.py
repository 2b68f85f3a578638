"""Ask the repository what the rules for refs leave open: see refs.py.

A name may be a branch or a tag, and a commit may come from a pull request that anybody can open.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from runner.errors import SourceError
from runner.job import RefRules, Source
from runner.sources import ancestry, refs
from runner.sources.refs import BRANCHES, COMMIT, OWN, TAGS, Permission
from runner.sources.repository import Calls
from runner.sources.url import Address


@dataclass(frozen=True)
class Remote:
    """A repository that git asks. `work` is the run's own folder."""

    address: Address
    calls: Calls
    work: Path

    def listed(self, *names: str) -> dict[str, str]:
        """Its branches and tags by their full names (only these, if any), and their commits."""
        git = self.calls.git(self.work)
        said = str(git.ls_remote("--heads", "--tags", "--", self.address.url, *names))
        found: dict[str, str] = {}
        for line in said.splitlines():
            commit, _, name = line.partition("\t")
            found[name.removesuffix("^{}")] = commit  # an annotated tag has a second line with it
        return found

    def full_name(self, name: str) -> str | None:
        """The only branch or tag of this name. Raises SourceError with `ref-ambiguous` for both."""
        possible = (BRANCHES + name, TAGS + name)
        listed = self.listed(*possible)
        found = [full for full in possible if full in listed]
        if len(found) > 1:
            raise SourceError(
                "ref-ambiguous",
                f"The repository has a branch and a tag {name}: write {' or '.join(found)}.",
            )
        return found[0] if found else None


def settle(source: Source, remote: Remote) -> tuple[Source, Permission]:
    """The source with a ref that means one thing only, and the rule that allows it.

    Raises SourceError with `ref-not-allowed` and `ref-ambiguous`.
    """
    rules = source.rules
    if rules is None:
        return source, Permission(source.ref, OWN)
    permission = refs.judge(source.ref, rules)
    ref, own = permission.ref, rules.own
    if ref is None or permission.rule is None:
        return source, permission
    if ref != own and own is not None and permission.rule == OWN and not own.startswith("refs/"):
        remote.full_name(own)  # asked for as a branch or a tag, which must be the only one
    if not ref.startswith("refs/") and not COMMIT.fullmatch(ref):
        ref = remote.full_name(ref) or ref
        rule = OWN if permission.rule == OWN else refs.matching(ref, rules)
        permission = Permission(ref, rule or permission.rule)
    return replace(source, ref=ref), permission


def rule_of(permission: Permission, rules: RefRules | None, commit: str, remote: Remote) -> str:
    """The rule that allows what was checked out.

    A commit has to be in the history of the template's own ref, or of a branch or tag that a
    pattern allows. What cannot be found out is a no. Raises SourceError with `ref-not-allowed`,
    and Stopped.
    """
    if permission.rule is not None or rules is None:
        return permission.rule or OWN
    listed = remote.listed()
    tips = {name: rule for name in listed if (rule := refs.matching(name, rules))}
    own = _own_tip(rules, remote)
    if own is not None:
        tips = {own: OWN, **tips}
    at_a_tip = next((tip for tip in tips if commit in {tip, listed.get(tip)}), None)
    found = at_a_tip or ancestry.containing(
        remote.calls, remote.address, [*tips], commit, remote.work
    )
    if found is None:
        raise refs.refusal(
            commit, rules, ": it is not known to be in any branch or tag that is allowed"
        )
    return tips[found]


def _own_tip(rules: RefRules, remote: Remote) -> str | None:
    """Where the history of the template's own ref begins; None if that is a pull request."""
    own = rules.own
    if own is None:
        return "HEAD"
    if COMMIT.fullmatch(own) or own.startswith((BRANCHES, TAGS)):
        return own
    return None if own.startswith("refs/") else remote.full_name(own)
