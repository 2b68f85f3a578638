"""The difference of two state documents contains no secrets."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.documents import diff, secrecy
from backend.documents.diff import Diff
from backend.errors import Conflict, Invalid
from tests.support.documents import encrypted_document

CANARY = "canary-e1f09c"


def document(*resources: dict[str, Any], outputs: dict[str, Any] | None = None) -> bytes:
    heading = {"version": 4, "terraform_version": "1.11.4", "serial": 1, "lineage": "l"}
    rest = {"outputs": outputs or {}, "resources": list(resources), "check_results": None}
    return json.dumps(heading | rest, indent=2).encode()


def resource(*instances: dict[str, Any], **fields: Any) -> dict[str, Any]:
    given_ = {"mode": "managed", "type": "aws_instance", "name": "web", "provider": "p"}
    return given_ | fields | {"instances": list(instances)}


def instance(attributes: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"schema_version": 1, "attributes": attributes or {}} | fields


def changes(found: Diff) -> dict[str, tuple[Any, Any]]:
    """Those of the only changed resource."""
    (changed,) = found.changed
    return {change.path: (change.before, change.after) for change in changed.changes}


def between(before: dict[str, Any], after: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The changes of one instance, whose attributes these are."""
    old = document(resource(instance(before, **fields)))
    return changes(diff.diff(old, document(resource(instance(after, **fields)))))


def test_a_document_and_itself_have_no_difference() -> None:
    same = document(resource(instance({"id": "i-1"})), outputs={"a": {"value": 1}})

    assert diff.diff(same, same) == Diff([], [], [], 1, [])


def test_another_layout_of_the_same_is_no_difference() -> None:
    pretty = document(resource(instance({"a": 1, "b": [1, {"c": None}]})))
    compact = json.dumps(json.loads(pretty), separators=(",", ":"), sort_keys=True).encode()

    assert diff.diff(pretty, compact) == Diff([], [], [], 1, [])


def test_resources_are_added_removed_and_changed_by_their_address() -> None:
    old = document(
        resource(instance({"id": "1"}), name="stays"),
        resource(instance({"id": "2"}), name="goes"),
        resource(instance({"id": "3"}, index_key=0), instance({"id": "4"}, index_key=1)),
        resource(instance({"v": 1}, index_key='a"b'), module='module.m["x"]'),
        resource(instance({"v": 1}), mode="data", type="aws_ami"),
    )
    new = document(
        resource(instance({"id": "1"}), name="stays"),
        resource(instance({"id": "3"}, index_key=0), instance({"id": "5"}, index_key=1)),
        resource(instance({"id": "6"}), name="comes"),
        resource(instance({"v": 2}, index_key='a"b'), module='module.m["x"]'),
        resource(instance({"v": 2}), mode="data", type="aws_ami"),
    )

    found = diff.diff(old, new)

    assert [r.address for r in found.added] == ["aws_instance.comes"]
    assert [r.address for r in found.removed] == ["aws_instance.goes"]
    assert [(r.address, r.data) for r in found.changed] == [
        ("aws_instance.web[1]", False),
        ("data.aws_ami.web", True),
        ('module.m["x"].aws_instance.web["a\\"b"]', False),
    ]
    assert found.unchanged == 2


def test_a_deposed_object_is_one_of_its_own() -> None:
    kept = instance({"id": "2"})
    old = document(resource(kept))
    new = document(resource(kept, instance({"id": "1"}, deposed="abcd1234")))

    assert [r.address for r in diff.diff(old, new).added] == ["aws_instance.web (deposed abcd1234)"]


def test_a_tainted_resource_is_a_changed_one() -> None:
    old = document(resource(instance({"id": "1"})))
    new = document(resource(instance({"id": "1"}, status="tainted")))

    assert changes(diff.diff(old, new)) == {"(status)": (None, "tainted")}


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"a": 1}, {"a": 2}, {"a": (1, 2)}),
        ({"a": 1}, {}, {"a": (1, None)}),
        ({}, {"a": {"b": 1}}, {"a": (None, {"b": 1})}),
        ({"a": None}, {}, {}),
        ({"a": 1}, {"a": True}, {"a": (1, True)}),
        ({"t": {"x": 1, "y": 2}}, {"t": {"x": 1, "y": 3, "z": 4}}, {"t.y": (2, 3), "t.z": (None, 4)}),
        ({"p": [1, 2]}, {"p": [1, 3]}, {"p": ([1, 2], [1, 3])}),
        ({"r": [{"f": 1}, {"f": 2}]}, {"r": [{"f": 1}, {"f": 9}]}, {"r[1].f": (2, 9)}),
        ({"r": [{"f": 1}]}, {"r": []}, {"r": ([{"f": 1}], [])}),
        ({"a": "x"}, {"a": ["x"]}, {"a": ("x", ["x"])}),
    ],
)  # fmt: skip
def test_attributes_are_told_where_they_differ(
    before: dict[str, Any], after: dict[str, Any], told: dict[str, Any]
) -> None:
    old = document(resource(instance(before | {"same": 1})))
    new = document(resource(instance(after | {"same": 1})))

    found = diff.diff(old, new)

    assert (changes(found) if told else {}) == told
    assert found.unchanged == (0 if told else 1)


def test_outputs_are_told_and_sensitive_ones_are_not() -> None:
    old = document(
        outputs={"url": {"value": "a"}, "gone": {"value": 1}, "key": {"value": f"{CANARY}1"}}
    )
    new = document(
        outputs={"url": {"value": "b"}, "key": {"value": f"{CANARY}2", "sensitive": True}}
    )

    found = diff.diff(old, new)

    assert [(c.path, c.before, c.after, c.hidden) for c in found.outputs] == [
        ("gone", 1, None, False),
        ("key", "(sensitive)", "(sensitive)", True),
        ("url", "a", "b", False),
    ]


def attr(name: str) -> dict[str, Any]:
    return {"type": "get_attr", "value": name}


def index(key: int | str) -> dict[str, Any]:
    kind = "string" if isinstance(key, str) else "number"
    return {"type": "index", "value": {"value": key, "type": kind}}


OLD, NEW = f"{CANARY}-1", f"{CANARY}-2"


@pytest.mark.parametrize(
    ("marked", "before", "after", "path"),
    [
        ([[attr("a")]], {"a": OLD}, {"a": NEW}, "a"),
        ([[attr("a")]], {"a": {"b": OLD}}, {"a": {"b": NEW}}, "a"),
        ([[attr("a"), attr("b")]], {"a": {"b": OLD}}, {"a": {"b": NEW}}, "a.b"),
        ([[attr("a"), index(1), attr("b")]], {"a": [{}, {"b": OLD}]}, {"a": [{}, {"b": NEW}]}, "a[1].b"),
        ([[attr("a"), index("k")]], {"a": {"k": OLD}}, {"a": {"k": NEW}}, "a.k"),
        ([[attr("a"), {"type": "new"}]], {"a": [OLD]}, {"a": [NEW]}, "a"),
        ([[attr("a"), attr("b")]], {}, {"a": {"b": NEW}}, "a"),
        ([[attr("a"), attr("b")]], {"a": [{"b": OLD}, 1]}, {"a": {"b": NEW}}, ""),
        ([[]], {"a": OLD}, {"a": NEW}, "a"),
    ],
)  # fmt: skip
def test_what_a_state_marks_as_sensitive_is_not_told(
    marked: list[Any], before: dict[str, Any], after: dict[str, Any], path: str
) -> None:
    if not path:
        before = {"a": "public"}  # it became an object with a secret
        path = "a"

    old = document(resource(instance(before, sensitive_attributes=marked)))
    new = document(resource(instance(after, sensitive_attributes=marked)))
    found = diff.diff(old, new)

    assert list(changes(found)) == [path]
    assert found.changed[0].changes[0].hidden
    assert CANARY not in repr(found)


def test_what_only_one_of_the_versions_marks_as_sensitive_is_not_told() -> None:
    plain, marked = instance({"a": OLD}), instance({"a": NEW}, sensitive_attributes=[[attr("a")]])
    old, new = document(resource(plain)), document(resource(marked))

    for found in (diff.diff(old, new), diff.diff(new, old)):
        assert CANARY not in repr(found)
        assert changes(found) == {"a": ("(sensitive)", "(sensitive)")}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"password": OLD}, {"password": NEW}),
        ({"master_password_x": OLD}, {"master_password_x": NEW}),
        ({"private_key_pem": OLD}, {"private_key_pem": NEW}),
        ({"connection": {"apiKey": OLD}}, {"connection": {"apiKey": NEW}}),
        ({"secrets": [OLD]}, {"secrets": [NEW, OLD]}),
        ({"text": "x"}, {"text": f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}"}),
        ({"url": "https://example.com"}, {"url": f"https://user:{CANARY}@example.com"}),
        ({"user_data": "#!/bin/sh"}, {"user_data": f"export DB_PASSWORD={CANARY}"}),
        ({"definitions": "[]"}, {"definitions": f'[{{"name":"TOKEN","value":"{CANARY}"}}]'}),
        ({"env": [{"name": "DB_PASSWORD", "value": OLD}]}, {"env": [{"name": "DB_PASSWORD", "value": NEW}]}),
        ({}, {"env": [{"name": "DB_PASSWORD", "value": NEW}]}),
        ({"env": []}, {"env": [{"key": "TOKEN", "content": {"x": NEW}}]}),
    ],
)  # fmt: skip
def test_what_is_telling_by_its_name_is_not_told(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    old, new = document(resource(instance(before))), document(resource(instance(after)))

    for found in (diff.diff(old, new), diff.diff(new, old)):
        assert CANARY not in repr(found)
        assert found.changed[0].changes[0].hidden


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    ["token" * 100_000, "://" + ":" * 500_000, "token" + " " * 500_000, "-----BEGIN " * 50_000],
)
def test_a_text_that_is_made_to_be_slow_is_looked_at_in_no_time(text: str) -> None:
    secrecy.is_secret_text(text)


@pytest.mark.parametrize(
    "kind", ["random_password", "kubernetes_secret", "tls_private_key", "local_sensitive_file"]
)
def test_of_a_resource_that_is_a_secret_only_the_names_are_told(kind: str) -> None:
    old = document(resource(instance({"result": OLD, "n": 1}), type=kind))
    new = document(resource(instance({"result": NEW, "n": 1}), type=kind))

    found = diff.diff(old, new)

    assert changes(found) == {"result": ("(sensitive)", "(sensitive)")}


values = st.recursive(
    st.just("a secret") | st.none() | st.booleans() | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [here] if here else []
    if isinstance(value, dict):
        for name, part in value.items():
            found += paths(part, (*here, name))
    if isinstance(value, list):
        for number, part in enumerate(value):
            found += paths(part, (*here, number))
    return found


def texts(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*map(texts, parts))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


@given(st.data())
def test_no_marked_value_is_ever_told_whatever_the_attributes(data: st.DataObject) -> None:
    attributes = st.dictionaries(st.sampled_from("abc"), values, max_size=3)
    numbers = itertools.count()
    before, after = (_unlike(data.draw(attributes), numbers) for _ in range(2))
    hidden: set[str] = set()
    instances = []
    for value in (before, after):
        chosen = data.draw(st.lists(st.sampled_from(paths(value)), max_size=2)) if value else []
        hidden |= set().union(*(texts(at(value, path)) for path in chosen))
        steps = [[index(s) if isinstance(s, int) else attr(s) for s in path] for path in chosen]
        instances.append(instance(value, sensitive_attributes=steps))

    found = diff.diff(*(document(resource(one)) for one in instances))

    told = repr(found)
    assert [secret for secret in hidden if secret in told] == []
    if not found.changed:
        assert _plain(before) == _plain(after)


def _unlike(value: Any, numbers: Iterator[int]) -> Any:
    """With every text another one."""
    if isinstance(value, dict):
        return {name: _unlike(part, numbers) for name, part in value.items()}
    if isinstance(value, list):
        return [_unlike(part, numbers) for part in value]
    return f"~{next(numbers)}~" if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    """Null is the same as nothing."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items() if part is not None}
    return value


def test_a_state_that_opentofu_sealed_cannot_be_compared() -> None:
    with pytest.raises(Conflict, match="OpenTofu encrypted") as refusal:
        diff.diff(document(), encrypted_document())

    assert refusal.value.code == "state-encrypted"


@pytest.mark.parametrize(
    "odd",
    [
        b'{"version": 3, "modules": []}',
        b'{"version": 4, "resources": {}}',
        b'{"version": 4, "resources": [{"instances": []}]}',
        b'{"version": 4, "outputs": [1]}',
        b"[1]",
        b'{"version": 4',
        b'{"version": 4, "resources": [{"type": "t", "name": "n", "instances": [1]}]}',
        b'{"version": 4, "outputs": {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}}",
    ],
)
def test_what_is_no_state_of_today_is_refused_in_words(odd: bytes) -> None:
    with pytest.raises(Conflict) as refusal:
        diff.diff(document(), odd)

    assert refusal.value.code == "state-not-diffable"


@pytest.mark.parametrize("depth", [50, 300, 450, 900])
def test_deeply_nested_attributes_are_compared_or_refused_but_never_crash(depth: int) -> None:
    deep: Any = 1
    for _ in range(depth):
        deep = {"a": deep}
    old = document(resource(instance({"d": deep})))

    try:
        found = diff.diff(old, old.replace(b'"a": 1', b'"a": 2'))
    except Conflict as refusal:
        assert refusal.code == "state-not-diffable"  # noqa: PT017 either is right
    else:
        assert len(changes(found)) == 1


def test_a_document_above_the_limit_is_refused() -> None:
    with pytest.raises(Invalid) as refusal:
        diff.check_size(diff.MAX_BYTES + 1)

    assert refusal.value.code == "diff-too-large"


def test_many_instances_are_compared_one_by_one() -> None:
    def many(changed: int) -> bytes:
        return document(
            *(
                resource(
                    instance({"id": uuid.UUID(int=n + (n == changed) * 10**6).hex}), name=f"r{n}"
                )
                for n in range(2000)
            )
        )

    found = diff.diff(many(-1), many(7))

    assert [r.address for r in found.changed] == ["aws_instance.r7"]
    assert found.unchanged == 1999
