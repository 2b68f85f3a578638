"""What is answered about the resources in a document, and what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.documents import resources
from backend.documents.graph import Graph
from backend.documents.resources import Detail, Draw, List, Listing, Show, Sum, Summary
from backend.errors import Conflict, Invalid
from tests.support.documents import encrypted_document
from tests.support.resources import document, large_document, resource

CANARY = "canary-77ab"


def ask(question: Any, body: bytes) -> Any:
    return resources.answer(question, body)


def drawn(*made: dict[str, Any]) -> set[tuple[str, str]]:
    """The edges, by the addresses of both ends."""
    found: Graph = ask(Draw(), document(*made))
    return {(found.nodes[a].address, found.nodes[b].address) for a, b in found.edges}


def test_resources_are_listed_by_module_and_as_people_count() -> None:
    body = document(
        resource("web", module="module.app"),
        resource("web", keys=(10, 9, 1)),
        resource("zone", type="aws_zone", data=True),
    )

    found: Listing = ask(List(), body)

    assert [one.address for one in found.items] == [
        "aws_instance.web[1]", "aws_instance.web[9]", "aws_instance.web[10]",
        "data.aws_zone.zone", "module.app.aws_instance.web",
    ]  # fmt: skip
    assert {one.provider for one in found.items} == {"hashicorp/aws"}


def test_a_list_has_what_was_asked_for_and_no_more() -> None:
    body = document(resource("web", keys=(*range(30),)), resource("zone", type="aws_zone"))

    found: Listing = ask(List(text="WEB", type="aws_instance", start=10, limit=5), body)

    assert (found.total, found.matching) == (31, 30)
    assert [one.address for one in found.items] == [f"aws_instance.web[{n}]" for n in range(10, 15)]
    assert [(kind.type, kind.count) for kind in found.kinds] == [
        ("aws_instance", 30), ("aws_zone", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "attributes",
    [
        {"note": CANARY, "sensitive": ("note",)},
        {"db_password": CANARY},
        {"tags": {"api_token": CANARY}},
        {"env": [{"name": "DB_PASSWORD", "value": CANARY}]},
        {"url": f"postgres://user:{CANARY}@host/db"},
        {"text": f'{{"password": "{CANARY}"}}'},
        {"name": "db_password", "value": CANARY},
        {"type": "random_password", "result": CANARY},
    ],
    ids=lambda given: str(sorted(given)),
)
def test_no_answer_has_a_secret(attributes: dict[str, Any]) -> None:
    made = resource("one", **attributes)
    body = document(made, result={"value": CANARY, "type": "string", "sensitive": True})
    address = f"{made['type']}.one"

    answers = [ask(question, body) for question in (List(), Sum(), Draw(), Show(address))]

    assert CANARY not in repr(answers)
    assert answers[-1].found is not None


def test_a_value_that_is_no_secret_is_shown_in_full() -> None:
    made = resource("one", tags={"Name": "web", "rack": None}, size=3, text="two\nlines")

    found: Detail = ask(Show("aws_instance.one"), document(made))

    shown = {one.name: one.text for one in found.attributes}
    assert shown["size"] == "3"
    assert shown["text"] == "two\nlines"
    assert json.loads(shown["tags"]) == {"Name": "web", "rack": None}


def test_what_is_too_long_is_cut_and_counted() -> None:
    made = resource("one", text="x" * (resources.LONGEST + 7))

    found: Detail = ask(Show("aws_instance.one"), document(made))

    text = next(one for one in found.attributes if one.name == "text")
    assert (len(text.text), text.left_out) == (resources.LONGEST, 7)


def test_an_instance_has_what_it_needs_and_what_needs_it() -> None:
    body = document(
        resource("net"),
        resource("sub", "aws_instance.net", keys=(0, 1)),
        resource("web", "aws_instance.net", "aws_instance.sub"),
    )

    found: Detail = ask(Show("aws_instance.sub[1]"), body)

    assert [one.address for one in found.needs] == ["aws_instance.net"]
    assert [one.address for one in found.needed_by] == ["aws_instance.web"]
    assert ask(Show("aws_instance.sub[2]"), body).found is None


def test_edges_that_follow_from_others_are_not_drawn() -> None:
    # terraform stores all that an instance depends on, also by way of others
    assert drawn(
        resource("a"),
        resource("b", "aws_instance.a"),
        resource("c", "aws_instance.a", "aws_instance.b"),
    ) == {
        ("aws_instance.b", "aws_instance.a"), ("aws_instance.c", "aws_instance.b"),
    }  # fmt: skip


def test_an_instance_of_a_module_depends_on_its_own_siblings() -> None:
    blue, green = 'module.app["blue"]', 'module.app["green"]'

    edges = drawn(
        *(resource("net", module=module) for module in (blue, green)),
        *(
            resource("web", "module.app.aws_instance.net", module=module)
            for module in (blue, green)
        ),
        resource("all", "module.app.aws_instance.web"),
    )

    assert edges == {
        (f"{blue}.aws_instance.web", f"{blue}.aws_instance.net"),
        (f"{green}.aws_instance.web", f"{green}.aws_instance.net"),
        ("aws_instance.all", f"{blue}.aws_instance.web"),
        ("aws_instance.all", f"{green}.aws_instance.web"),
    }


def test_keys_of_modules_may_have_dots_brackets_and_quotes() -> None:
    module = 'module.app["a.b]\\"[0].c"].module.in[0]'

    edges = drawn(
        resource("net", module=module),
        resource("web", "module.app.module.in.aws_instance.net", module=module),
    )

    assert edges == {(f"{module}.aws_instance.web", f"{module}.aws_instance.net")}


def test_a_circle_ends_nobody() -> None:
    edges = drawn(
        resource("a", "aws_instance.b", "aws_instance.a"),
        resource("b", "aws_instance.a"),
        resource("c", "aws_instance.gone", "aws_instance.b"),
    )

    assert ("aws_instance.c", "aws_instance.b") in edges


def test_a_graph_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.documents.graph.MOST_NODES", 10)
    monkeypatch.setattr("backend.documents.graph.MOST_EDGES", 4)

    found: Graph = ask(Draw(), large_document(25))

    assert (len(found.nodes), found.left_out) == (10, 15)
    assert len(found.edges) == 4
    assert found.edges_left_out > 0


def test_a_summary_has_no_values() -> None:
    body = document(resource("a"), resource("b"), url="https://x", token={"sensitive": True})

    found: Summary = ask(Sum(), body)

    assert found.total == 2
    assert [(one.name, one.sensitive) for one in found.outputs] == [
        ("token", True), ("url", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (encrypted_document(), "state-encrypted"),
        (b'{"version": 3}', "state-not-readable"),
        (b'{"version": 4, "resources": [{"type": 1}]}', "state-not-readable"),
        (b'{"version": 4, "resources": [' + b"[" * 100_000, "state-not-readable"),
    ],
)
def test_a_document_that_cannot_be_read_says_why(body: bytes, code: str) -> None:
    with pytest.raises(Conflict) as refusal:
        ask(List(), body)

    assert refusal.value.code == code


def test_a_document_that_is_too_large_is_refused() -> None:
    with pytest.raises(Invalid):
        resources.check_size(resources.MAX_BYTES + 1)
