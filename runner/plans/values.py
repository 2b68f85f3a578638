"""What a change does to the values of one resource or output, as everybody may see it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice
from typing import Any

import msgspec
from msgspec import Struct

from runner.plans import paths
from runner.plans.document import ChangeBody
from runner.plans.hiding import LONGEST, Hider, Path
from runner.plans.marks import DEEPEST, has_mark, keys, marked_texts, texts
from runner.plans.secrets import SHORTEST, Secrets

MOST_PATHS = 500  # of one kind in one change


class Cut(Struct, frozen=True):
    """A value that is not shown completely, and how many characters or entries it has."""

    path: Path
    size: int


class Values(Struct, frozen=True):
    """`before` and `after`, in which HIDDEN stands for what is sensitive.

    A path names a part of them; the empty one is the whole. `unknown` is what is known after the
    apply only, and is missing in `after`. `changed` has the innermost values that differ, where
    there is something before and after. `replace` is what forces a replacement.
    """

    before: Any
    after: Any
    unknown: tuple[Path, ...] = ()
    sensitive: tuple[Path, ...] = ()
    changed: tuple[Path, ...] = ()
    replace: tuple[Path, ...] = ()
    cut: tuple[Cut, ...] = ()


def shown(body: ChangeBody, secrets: Secrets, *, schema: int) -> Values:
    """The values of a change, without secrets and bounded.

    The keys of the first `schema` levels are names of the provider's schema, and never hidden.
    """
    encoded = msgspec.json.encode((body.before, body.after, body.after_unknown))
    suspect = _is_suspect(body, encoded, secrets)
    hider = Hider(secrets, _marked(body), suspect, schema)
    before, after = body.before, body.after
    if suspect or secrets.marked or _has_marks(body) or _may_be_too_much(encoded):
        before = hider.shown(before, body.before_sensitive)
        after = hider.shown(after, body.after_sensitive)
    differences: Iterable[Path] = ()
    if body.before is not None and (body.after is not None or body.after_unknown is True):
        differences = paths.changed(body.before, body.after, body.after_unknown)
    return Values(
        before=before,
        after=after,
        unknown=_safe(paths.not_known(body.after_unknown), hider),
        sensitive=_bounded(sorted(hider.hidden, key=_in_order)),
        changed=_safe(differences, hider),
        replace=_safe(paths.given(body.replace_paths), hider),
        cut=tuple(Cut(path, size) for path, size in islice(hider.cut.items(), MOST_PATHS)),
    )


def marked(body: ChangeBody) -> Iterable[str]:
    """The texts that a change marks as sensitive."""
    return chain(
        marked_texts(body.before, body.before_sensitive),
        marked_texts(body.after, body.after_sensitive),
    )


def _marked(body: ChangeBody) -> frozenset[str]:
    return frozenset(text for text in marked(body) if len(text) >= SHORTEST)


def _is_suspect(body: ChangeBody, encoded: bytes, secrets: Secrets) -> bool:
    """Whether a secret may be in it. To look at everything at once is faster than at each text."""
    if b"\\" not in encoded:  # nothing is escaped: the texts are in it as they are
        return secrets.are_in(encoded.decode())
    values = body.before, body.after
    found = chain(*map(texts, values), *map(keys, (*values, body.after_unknown)))
    return secrets.are_in("\n".join(found))


def _has_marks(body: ChangeBody) -> bool:
    return has_mark(body.before_sensitive) or has_mark(body.after_sensitive)


def _may_be_too_much(encoded: bytes) -> bool:
    """Whether something in it may be too long or too deep to be shown."""
    return len(encoded) > LONGEST or encoded.count(b"[") + encoded.count(b"{") > DEEPEST


def _safe(found: Iterable[Path], hider: Hider) -> tuple[Path, ...]:
    """The first paths, without what they say about secrets."""
    return tuple(dict.fromkeys(map(hider.safe, islice(found, MOST_PATHS))))


def _bounded(found: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(islice(found, MOST_PATHS))


def _in_order(path: Path) -> tuple[tuple[bool, str], ...]:
    return tuple(
        (isinstance(key, int), f"{key:>9}" if isinstance(key, int) else key) for key in path
    )
