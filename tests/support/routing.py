"""Rules of werkzeug that are compiled once, however many applications a test run makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import pytest
from werkzeug.routing import Rule

Builder = Callable[..., tuple[str, str]]


@dataclass(frozen=True)
class _Compiled:
    """What compiling a rule makes. Nothing changes it afterwards."""

    parts: list[Any]
    trace: list[tuple[bool, str]]
    converters: dict[str, Any]
    arguments: set[str]
    build: Builder
    build_unknown: Builder

    @classmethod
    def of(cls, rule: Rule) -> Self:
        build, unknown = rule._build.__func__, rule._build_unknown.__func__  # type: ignore[attr-defined]
        arguments = set(rule.arguments)
        return cls(rule._parts, rule._trace, rule._converters, arguments, build, unknown)

    def give_to(self, rule: Rule) -> None:
        rule._parts, rule._trace, rule._converters = self.parts, self.trace, self.converters
        rule.arguments |= self.arguments
        rule._build = self.build.__get__(rule, None)
        rule._build_unknown = self.build_unknown.__get__(rule, None)


@contextmanager
def compiled_once() -> Iterator[None]:
    """Let rules with the same text share what they are compiled to.

    That is most of the CPU that `create_app` takes. Rules with defaults are left alone.
    """
    compiled: dict[object, _Compiled] = {}
    compile_rule = Rule.compile

    def once(rule: Rule) -> None:
        text = (rule.rule, rule.subdomain, rule.host, rule.merge_slashes, rule.strict_slashes)
        if rule.defaults:
            compile_rule(rule)
        elif text in compiled:
            compiled[text].give_to(rule)
        else:
            compile_rule(rule)
            compiled[text] = _Compiled.of(rule)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "compile", once)
        yield
