"""How pages tell what a plan does: actions, counts, reasons, and what rules say of resources."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from backend.runs.plan_outline import FILTERS
from backend.web.ui.plan_values import Attribute, attributes

# by the action: its sign, and its word
ACTIONS = {
    "create": ("+", "create"),
    "update": ("~", "update"),
    "replace": ("\N{MINUS SIGN}/+", "replace"),
    "delete": ("\N{MINUS SIGN}", "destroy"),
    "read": ("\N{LEFTWARDS ARROW}", "read"),
    "forget": ("\N{MULTIPLICATION SIGN}", "forget"),
    "no-op": ("\N{MIDDLE DOT}", "no change"),
}
_FILTER_WORDS = {
    "destroys": "Destroyed or replaced",
    "replacements": "Replaced",
    "creates": "Created",
    "updates": "Updated",
    "reads": "Read",
    "forgets": "Forgotten",
    "imports": "Imported",
    "moves": "Moved",
}
_REASONS = {
    "replace_because_tainted": "it is tainted: an earlier apply left it incomplete",
    "replace_because_cannot_update": "it cannot be changed in place",
    "replace_by_request": "the run asks for its replacement",
    "replace_by_triggers": "replace_triggered_by names something that changes",
    "delete_because_no_resource_config": "it is not in the sources any more",
    "delete_because_no_module": "its module is not in the sources any more",
    "delete_because_wrong_repetition": "the sources use count or for_each in another way",
    "delete_because_count_index": "its index is outside of count",
    "delete_because_each_key": "its key is not in for_each any more",
    "delete_because_no_move_target": "what it is moved to is not in the sources",
    "read_because_config_unknown": "what it is read with is known after the apply only",
    "read_because_dependency_pending": "something that it depends on changes",
    "read_because_check_nested": "a check reads it",
}
_COUNTS = (
    ("add", "create", "create"),
    ("change", "update", "change"),
    ("destroy", "delete", "destroy"),
)
_MORE = (
    ("replace", "replacement, which is in both", "replacements, which are in both"),
    ("import", "import", ""),
    ("move", "move", ""),
    ("forget", "resource to forget", "resources to forget"),
    ("read", "read", ""),
    ("actions", "action", ""),
)


def sign(action: str) -> str:
    return ACTIONS.get(action, ("?", action))[0]


def word(action: str) -> str:
    return ACTIONS.get(action, ("?", action))[1]


def reason(given: str) -> str:
    return _REASONS.get(given, given.replace("_", " "))


def counts(summary: Mapping[str, int]) -> list[tuple[str, str, str]]:
    """What the plan counts: a class, a number with its sign, and its word."""
    return [
        (name, f"{sign(action)}{summary[name]:,}", f"to {said}")
        for name, action, said in _COUNTS
        if summary[name]
    ]


def more_counts(summary: Mapping[str, int]) -> list[tuple[int, str, str]]:
    return [(summary[name], one, many) for name, one, many in _MORE if summary[name]]


def filters(counted: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """The filters that have something: their names, words and counts."""
    return [(name, _FILTER_WORDS[name], counted[name]) for name in FILTERS if counted[name]]


def of_module(counted: Mapping[str, int]) -> list[tuple[str, str, str]]:
    """What changes in a module: actions, numbers with signs, and words."""
    return [
        (action, f"{sign(action)}{counted[action]:,}", word(action))
        for action in ACTIONS
        if counted[action]
    ]


def values(found: Mapping[str, Any]) -> tuple[list[Attribute], list[Attribute]]:
    """The attributes that change, and those that stay as they are."""
    all_of_them = attributes(found)
    return (
        [one for one in all_of_them if one.is_changed],
        [one for one in all_of_them if not one.is_changed],
    )


def told(
    findings: Sequence[Mapping[str, str]], addresses: Iterable[str]
) -> dict[str, list[Mapping[str, str]]]:
    """What rules say about resources, by the addresses that their messages name."""
    found: dict[str, list[Mapping[str, str]]] = {}
    for address in addresses if findings else ():
        names = re.compile(rf"(?:: |, ){re.escape(address)}(?:, | and [0-9,]+ more|\.$)")
        some = [one for one in findings if names.search(one["message"])]
        if some:
            found[address] = some
    return found
