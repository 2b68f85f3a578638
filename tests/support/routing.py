"""Rules of werkzeug that are compiled once, however many applications a test run makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from werkzeug.routing import Rule

Builder = Callable[..., tuple[str, str]]


@contextmanager
def compiled_once() -> Iterator[None]:
    """Let rules with the same parts share the functions that build their addresses.

    Werkzeug compiles two for each rule, which is half of the CPU that `create_app` takes. They
    are told the rule that they build for, so they may be shared.
    """
    compiled: dict[object, Builder] = {}
    compile_builder = Rule._compile_builder

    def once(rule: Rule, append_unknown: bool = True) -> Builder:  # noqa: FBT001 FBT002 werkzeug's
        if rule.defaults:
            return compile_builder(rule, append_unknown)
        parts = (rule.rule, *rule._trace, append_unknown)
        if parts not in compiled:
            compiled[parts] = compile_builder(rule, append_unknown)
        return compiled[parts]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", once)
        yield
