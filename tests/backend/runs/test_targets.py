"""Addresses of resources: what both tools accept is accepted, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import Invalid
from backend.runs import targets
from tests.support.tools import Tool

RESOURCES = [
    "terraform_data.a",
    "terraform_data._a-b2",
    "terräform_data.größe",
    "terraform_data.a[0]",
    "terraform_data.a[999999999]",
    'terraform_data.a["x"]',
    'terraform_data.a[""]',
    'terraform_data.a["y\\"z\\\\"]',
    'terraform_data.a["w w].[0] é 🙂"]',
    'terraform_data.a["\\u00e9\\U0001f642\\n"]',
    'terraform_data.a["$${x} %%{y} $5"]',
    'terraform_data.a["-target=b"]',
    "module.m.terraform_data.a",
    'module.m["k[0].x"].module.n[3].terraform_data.a["k"]',
]
OTHERS = [
    "module.m",
    'module.m["k"]',
    "module.m.module.n[0]",
    "data.aws_ami.a",
    "module.m.data.aws_ami.a[0]",
]
# the address, and where it is wrong
WRONG = [
    ("", 1),
    ("-x", 1),
    ("-target=terraform_data.a", 1),
    ("terraform_data", 15),
    ("terraform_data.", 16),
    ("terraform_data.-a", 16),
    ("terraform_data.1a", 16),
    ("1.a", 1),
    ("terraform_data.a.id", 17),
    ("terraform_data.a[0][0]", 20),
    ("terraform_data.a[*]", 18),
    ("terraform_data.a[x]", 18),
    ("terraform_data.a[-1]", 18),
    ("terraform_data.a[1.5]", 18),
    ("terraform_data.a[0", 18),
    ('terraform_data.a["x]', 18),
    ("terraform_data.a['x']", 18),
    ('terraform_data.a["\\x"]', 18),
    ('terraform_data.a["ab${x}"]', 21),
    ('terraform_data.a["%{x}"]', 19),
    ('terraform_data.a["x\ny"]', 20),
    ("terraform_data.a\x00", 17),
    ("module", 7),
    ("module.m.", 10),
    ("module.m[].terraform_data.a", 10),
]
# at least one of the tools accepts them: what matches nothing, or has another spelling
NONSENSE = [
    ("output.o", 1),
    ("var.x", 1),
    ("module.m.local.x", 10),
    ("resource.terraform_data.a", 1),
    (" terraform_data.a", 1),
    ("terraform_data. a", 16),
    ('terraform_data.a[ "x" ]', 18),
    ("terraform_data.a[01]", 18),
    ("terraform_data.a[9999999999]", 18),
    ("terraform_data.a/* x */", 17),
]


def test_what_is_accepted_is_an_address_for_both_tools(tool: Tool, tmp_path: Path) -> None:
    targets.check("plan", [*RESOURCES, *OTHERS], RESOURCES)

    (tmp_path / "main.tf").write_text("")
    options = [f"-target={address}" for address in [*RESOURCES, *OTHERS]]
    options += [f"-replace={address}" for address in RESOURCES]
    planned = tool.run(tmp_path, "plan", "-no-color", "-input=false", *options)

    assert planned.returncode == 0, planned.stdout + planned.stderr


@pytest.mark.parametrize(("address", "position"), WRONG + NONSENSE)
def test_what_is_no_address_is_refused_and_says_where(address: str, position: int) -> None:
    both = ["terraform_data.a", address]
    for field, addresses in (("targets", (both, [])), ("replace", ([], both))):
        with pytest.raises(Invalid) as refused:
            targets.check("plan", *addresses)

        facts = {"field": field, "index": 1, "position": position}
        assert (refused.value.code, refused.value.facts) == ("target-invalid", facts)
        assert f"at character {position} " in refused.value.message
        assert refused.value.message.isprintable()


def test_the_tools_refuse_it_too(tool: Tool, tmp_path: Path) -> None:
    wrong = [address for address, _ in WRONG if "\x00" not in address]
    (tmp_path / "main.tf").write_text("")

    options = [f"-target={address}" for address in wrong]
    planned = tool.run(tmp_path, "plan", "-no-color", "-input=false", *options)

    assert planned.stderr.count('Error: Invalid target "') == len(wrong), planned.stderr


@pytest.mark.parametrize(
    "address", ["module.m", 'module.m["k"]', "data.aws_ami.a", "module.m.ephemeral.a.b"]
)
def test_only_a_managed_resource_can_be_replaced(address: str) -> None:
    with pytest.raises(Invalid, match=r"replace\[0\]"):
        targets.check("apply", [], [address])

    targets.check("apply", [address], [])


@given(st.text(alphabet='ab.-_[]"\\${} 01\n=é', max_size=30) | st.text(max_size=20))
def test_what_is_accepted_is_one_printable_word_that_begins_with_a_name(address: str) -> None:
    try:
        targets.check("plan", [address], [])
    except Invalid as refused:
        assert refused.facts["index"] == 0  # noqa: PT017 either way is right
        assert 1 <= refused.facts["position"] <= len(address) + 1  # noqa: PT017
    else:
        assert address.isprintable()
        assert address[0].isalpha() or address[0] == "_"


def test_addresses_are_bounded_in_number_and_length() -> None:
    longest = "a." + "b" * (targets.LONGEST - 2)
    targets.check("plan", [longest] * targets.MOST, [])

    with pytest.raises(Invalid, match="longer than"):
        targets.check("plan", [longest + "b"], [])
    with pytest.raises(Invalid, match="more than"):
        targets.check("plan", [], ["a.b"] * (targets.MOST + 1))


@pytest.mark.parametrize(
    ("operation", "refused"),
    [
        ("plan", []),
        ("apply", []),
        ("destroy", ["replace-useless"]),
        ("refresh", ["replace-useless"]),
        ("drift", ["replace-useless"]),
        ("import-state", ["target-useless", "replace-useless"]),
        ("export-state", ["target-useless", "replace-useless"]),
    ],
)
def test_which_operations_can_have_them(operation: str, refused: list[str]) -> None:
    codes = []
    either: list[tuple[list[str], list[str]]] = [(["a.b"], []), ([], ["a.b"])]
    for addresses in either:
        try:
            targets.check(operation, *addresses)
        except Invalid as error:
            codes.append(error.code)

    assert codes == refused
