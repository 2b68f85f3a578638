"""The heading of a document, on which both readers always agree."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backend.documents.heading import Heading, read_heading
from backend.documents.stream import HeadingReader
from backend.errors import Invalid

STATE = {
    "version": 4,
    "terraform_version": "1.11.4",
    "serial": 7,
    "lineage": "3f1c8a4e-5d0b-7a61-9b0e-2d1a7c4e8f90",
    "outputs": {"serial": {"value": 3, "type": "number"}},
    "resources": [{"type": "null_resource", "note": '"serial": 99, {[', "lineage": "deeper"}],
}
HEADING = Heading(7, "3f1c8a4e-5d0b-7a61-9b0e-2d1a7c4e8f90", 4, "1.11.4", encrypted=False)
ENCRYPTED = {
    "serial": 2,
    "lineage": "f00",
    "meta": {"key_provider.pbkdf2.main": "eyJ9"},
    "encrypted_data": "c2VhbGVk",
    "encryption_version": "v0",
}


LONG = st.builds(
    str.__mul__, st.sampled_from(['a"', "\\", "é", "\U0001f600", "{[,\n", "\x01"]), st.just(1500)
)
TEXT = st.one_of(
    st.text(max_size=8), st.sampled_from(["serial", "lineage", "},{", '","', ",\n"]), LONG
)
SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT,
    st.sampled_from([10**200, -(10**70)]),
)  # fmt: skip
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    pairs: dict[str, Any] = draw(st.dictionaries(TEXT, VALUE, max_size=5))
    pairs.pop("serial", None)
    pairs.pop("lineage", None)
    pairs |= draw(st.sampled_from([STATE, ENCRYPTED, {"version": 4}]))
    order = draw(st.permutations(list(pairs)))
    text = json.dumps(
        {name: pairs[name] for name in order},
        indent=draw(st.sampled_from([None, 0, 2, 70])),
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([None, (",", ":"), (" , ", "\t:\r\n")])),
    )
    # Half a surrogate pair is no text; Python's json would write it.
    return text.encode("utf-8", "replace")


def damaged(data: st.DataObject, body: bytes) -> bytes:
    """The same with up to three bytes put in, taken out or changed, or cut."""
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        taken = data.draw(st.sampled_from([0, 0, 1, 1, 2, len(body)]))
        added = data.draw(st.sampled_from([b"", *PARTS]))
        body = body[:at] + added + body[at + taken :]
    return body


PARTS = [
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"0", b"1", b"-", b".", b"e", b"t", b"null",
    b" ", b"\n", b"\0", b"\xff", b"\xc3", b"\xa9", b"\\u", b"\\ud83d", b'"serial":3,', b'""', b"[]",
    b'\\"', b'",\n"', b"},{",
]  # fmt: skip


def streamed(body: bytes, piece: int = 64, chunk: int = 50) -> Heading:
    reader = HeadingReader(piece)
    for start in range(0, len(body), chunk):
        reader.feed(body[start : start + chunk])
    return reader.finish()


def streamed_byte_by_byte(body: bytes) -> Heading:
    return streamed(body, piece=1, chunk=1)


READERS = [read_heading, streamed, streamed_byte_by_byte]


def verdict(read: Any, *arguments: Any) -> Heading | str:
    try:
        found = read(*arguments)
    except Invalid as error:
        return error.code
    assert isinstance(found, Heading)
    return found


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("read", READERS)
def test_a_state_says_its_serial_lineage_and_versions(read: Any, indent: int | None) -> None:
    body = json.dumps(STATE, indent=indent).encode()

    assert read(body) == HEADING


@pytest.mark.parametrize("read", READERS)
def test_a_state_encrypted_by_opentofu_is_welcome(read: Any) -> None:
    body = json.dumps(ENCRYPTED).encode()

    assert read(body) == Heading(2, "f00", None, None, encrypted=True)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "state-empty"),
        (b" \n\t ", "state-empty"),
        (b"{", "state-truncated"),
        (b'{"version": 4, "serial": 1', "state-truncated"),
        (b'{"version": 4, "lineage": "ab', "state-truncated"),
        (b'{"version": 4, "lineage": "\xc3', "state-truncated"),
        (b"hello", "state-not-json"),
        (b"[1, 2]", "state-not-json"),
        (b'"version"', "state-not-json"),
        (b"null", "state-not-json"),
        (b"\xef\xbb\xbf{}", "state-not-json"),
        (b'{"version": 4,}', "state-not-json"),
        (b'{"version": 4} {"version": 4}', "state-not-json"),
        (b'{"version": 4}\0', "state-not-json"),
        (b'{"version": 4, "a": [,1]}', "state-not-json"),
        (b'{"version": 4, "a": [1,]}', "state-not-json"),
        (b'{"version": 4, "a": "\xff"}', "state-not-json"),
        (b'{"version": 4, "a": "\xc3"}', "state-not-json"),
        (b'{"version": 4, "a": "tab\there"}', "state-not-json"),
        (b'{"version": 4, "a": NaN}', "state-not-json"),
        (b'{"version": 4, "a": 01}', "state-not-json"),
        (b'{"version": 4, "a": ' + b"[" * 5000, "state-not-json"),
        (b'{"version": 4, "a": ' + b"[" * 5000 + b"]" * 5000 + b"}", "state-not-json"),
        (b"{}", "not-a-state"),
        (b'{"hello": "world"}', "not-a-state"),
        (b'{"serial": 3, "lineage": "a"}', "not-a-state"),
        (b'{"version": null, "serial": 3}', "not-a-state"),
        (b'{"version": "4", "serial": 3}', "not-a-state"),
        (b'{"version": 4, "serial": "3"}', "not-a-state"),
        (b'{"version": 4, "serial": 3.0}', "not-a-state"),
        (b'{"version": 4, "serial": -1}', "not-a-state"),
        (b'{"version": 4, "serial": 9223372036854775808}', "not-a-state"),
        (b'{"version": 4, "serial": ' + b"9" * 5000 + b"}", "not-a-state"),
        (b'{"version": 4, "lineage": 5}', "not-a-state"),
        (b'{"version": 4, "lineage": {"a": "b"}}', "not-a-state"),
        (b'{"version": 4, "lineage": "nul\\u0000"}', "not-a-state"),
        (b'{"version": 4, "lineage": "' + b"a" * 1023 + b'"}', "not-a-state"),
        (b'{"version": 4, "lineage": "' + b"a" * 9000 + b'"}', "not-a-state"),
        (b'{"serial": 1, "encrypted_data": {"a": 1}}', "not-a-state"),
        (b'{"serial": 1, "' + b"x" * 5000 + b'version": 4}', "not-a-state"),
    ],
)
def test_what_is_no_state_is_refused_with_the_reason(read: Any, body: bytes, code: str) -> None:
    assert verdict(read, body) == code


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("body", "heading"),
    [
        (b'{"version": 4}', Heading(None, None, 4, None, encrypted=False)),
        (b' {"version":4,"serial":0}\n', Heading(0, None, 4, None, encrypted=False)),
        (b'{"version":4,"serial":1,"serial":2}', Heading(2, None, 4, None, encrypted=False)),
        (b'{"version":4,"seri\\u0061l":5}', Heading(5, None, 4, None, encrypted=False)),
        (b'{"version":4,"lineage":"\\u00e9\xc3\xa9"}', Heading(None, "éé", 4, None, encrypted=False)),
        (b'{"version":4,"serial":9223372036854775807}', Heading(2**63 - 1, None, 4, None, encrypted=False)),
        (b'{"version":4,"x":' + b"1" * 5000 + b"}", Heading(None, None, 4, None, encrypted=False)),
        (b'{"version":4' + b" " * 5000 + b"}", Heading(None, None, 4, None, encrypted=False)),
        (b'{"version":' + b" " * 5000 + b"4}" + b"\n" * 999, Heading(None, None, 4, None, encrypted=False)),
        (b'{"version":4,"x":[' + b"[" * 300 + b"]" * 300 + b"]}", Heading(None, None, 4, None, encrypted=False)),
    ],
)  # fmt: skip
def test_odd_but_valid_documents_are_read(read: Any, body: bytes, heading: Heading) -> None:
    assert read(body) == heading


def test_the_end_of_a_long_name_is_not_taken_for_a_name() -> None:
    for length in range(2030, 2070):
        body = b'{"encrypted_data": "", "' + b"x" * length + b'serial": 5}'

        assert streamed_byte_by_byte(body).serial is None


def test_a_string_of_many_pieces_is_read_in_little_memory() -> None:
    body = json.dumps(ENCRYPTED | {"encrypted_data": 'a"\\é\U0001f600' * 200_000}).encode()
    reader = HeadingReader()

    held = 0
    for start in range(0, len(body), 10_000):
        reader.feed(body[start : start + 10_000])
        held = max(held, len(reader._text))

    assert reader.finish() == Heading(2, "f00", None, None, encrypted=True)
    assert held < 200_000


@pytest.mark.parametrize(
    "filling",
    [b" ", b"1", b"1,", b'"",', b'"[{",\n', b'"\\\\",', b"[],", b'{"":{}},', b'"a,\\"",', b'[{"a":[]}],'],
)  # fmt: skip
def test_a_long_monotonous_document_is_read_in_little_memory(filling: bytes) -> None:
    body = b'{"version":4,"x":[' + filling * (1_000_000 // len(filling)) + b"1]}"
    reader = HeadingReader()

    held = 0
    for start in range(0, len(body), 30_000):
        reader.feed(body[start : start + 30_000])
        held = max(held, len(reader._text))

    assert reader.finish() == read_heading(body)
    assert held < 200_000


@settings(max_examples=150)
@given(body=documents(), piece=st.integers(1, 200), chunk=st.integers(1, 300))
@example(body=b'{"version":4,"a":[1,[],{"":{}}]}', piece=1, chunk=1)
def test_both_readers_agree_on_every_document(body: bytes, piece: int, chunk: int) -> None:
    assert streamed(body, piece, chunk) == read_heading(body)


@settings(max_examples=400)
@given(data=st.data(), piece=st.integers(1, 200), chunk=st.integers(1, 300))
def test_both_readers_agree_on_every_damaged_document(
    data: st.DataObject, piece: int, chunk: int
) -> None:
    body = damaged(data, data.draw(documents()))

    streamed_verdict = verdict(streamed, body, piece, chunk)
    whole_verdict = verdict(read_heading, body)

    # msgspec calls half a surrogate pair truncated or malformed by what happens to follow it.
    if b"\\ud" in body.lower() and isinstance(whole_verdict, str):
        assert isinstance(streamed_verdict, str)
    else:
        assert streamed_verdict == whole_verdict
