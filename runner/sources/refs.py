"""Which refs a template's runs may check out: its own, and those that its patterns allow.

Names are judged without a connection, so that a server can refuse them when a run is queued. What
only the repository can tell is found out in permission.py: whether a name is a branch or a tag, and
whether a commit is in the history of an allowed one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from runner.errors import SourceError
from runner.job import RefRules

OWN = "own"  # the rule: the template's own ref
ANY = "any"  # the rule, and the pattern, for every ref and commit
BRANCHES, TAGS = "refs/heads/", "refs/tags/"
COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
ABBREVIATED = re.compile(r"[0-9a-f]{4,63}")


@dataclass(frozen=True)
class Permission:
    """A ref that may run. `ref` has its full name where the rule allows only one of that name.

    `rule` is OWN, ANY or a pattern by its full name. It is None for a commit, which may run if the
    history of an allowed branch or tag has it.
    """

    ref: str | None
    rule: str | None

    @property
    def is_merged(self) -> bool:
        """Whether it is of a branch or a tag, as opposed to a pull request.

        Anybody may open a pull request, and every git server has refs of its own for them.
        """
        ref = self.ref
        return ref is None or not ref.startswith("refs/") or ref.startswith((BRANCHES, TAGS))


def judge(ref: str | None, rules: RefRules) -> Permission:
    """By which rule this ref may run. Raises SourceError with `ref-not-allowed`."""
    own = rules.own
    if ref is None or ref == own:
        return Permission(own, OWN)
    candidates = _full_names(ref)
    if own in candidates:
        return Permission(own, OWN)
    if own is not None and ref in _full_names(own):
        return Permission(ref, OWN)
    found = [(name, pattern) for name in candidates for pattern in _allowing(name, rules)]
    names = dict.fromkeys(name for name, _ in found)
    if found:
        return Permission(next(iter(names)) if len(names) == 1 else ref, found[0][1])
    if ANY in rules.allowed:
        return Permission(ref, None if COMMIT.fullmatch(ref) else ANY)
    if COMMIT.fullmatch(ref) or ABBREVIATED.fullmatch(ref):
        return Permission(ref, None)
    raise refusal(ref, rules)


def matching(name: str, rules: RefRules) -> str | None:
    """The pattern that allows this branch or tag, by its full name; None: there is none."""
    if not name.startswith((BRANCHES, TAGS)):
        return None
    return ANY if ANY in rules.allowed else next(_allowing(name, rules), None)


def refusal(ref: str, rules: RefRules, why: str = "") -> SourceError:
    """The error for a ref that may not run. It says which ones may."""
    own = "the default branch" if rules.own is None else f"its own ref {rules.own}"
    allowed = ", ".join([own, *rules.allowed])
    hint = " Leave the ref out to run the default branch." if rules.own is None else ""
    return SourceError(
        "ref-not-allowed",
        f"The template does not allow the ref {ref}{why}. It allows {allowed}, and the commits in "
        f"them.{hint} Who may manage templates can allow more: allowed_refs, or `stateroom "
        "templates set TEMPLATE --allow-ref PATTERN`.",
    )


def _full_names(name: str) -> tuple[str, ...]:
    """What a name may mean: a branch, or else a tag. A commit is found by its number alone."""
    if name.startswith("refs/"):
        return (name,)
    return () if COMMIT.fullmatch(name) else (BRANCHES + name, TAGS + name)


def _allowing(name: str, rules: RefRules) -> Iterator[str]:
    for pattern in rules.allowed:
        full = pattern if pattern.startswith("refs/") else BRANCHES + pattern
        if pattern != ANY and _expression(full).fullmatch(name):
            yield full


def _expression(pattern: str) -> re.Pattern[str]:
    """`*` is any text without a slash, `**` any text."""
    parts = {"**": ".*", "*": "[^/]*"}
    pieces = re.split(r"(\*\*|\*)", pattern)
    return re.compile("".join(parts.get(piece, re.escape(piece)) for piece in pieces), re.DOTALL)
