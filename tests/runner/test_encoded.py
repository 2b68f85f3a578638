"""No encoded form of a secret is shown, wherever it begins, and however it is wrapped and cut."""

from __future__ import annotations

import base64
import subprocess
from itertools import pairwise
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.redact import Redactor

PIECE = 8  # what is found of a code
TOKEN = "stateroom_" + "4fKq9ZpT2mVx7LcB8sWn1RdYh6JgA3uEe5oQiCv0kXtMzPyNbH" + "DrUwSa"
SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=8, max_size=60)
BREAKS = ["\n", "\r\n", "\n      ", "\nnull_resource.a (local-exec): "]


def shown(secrets: list[str], chunks: list[bytes]) -> bytes:
    redactor = Redactor(secrets)
    return b"".join(map(redactor.feed, chunks)) + redactor.flush()


def pieces(text: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    return [text[start:stop] for start, stop in pairwise(places)]


def wrapped(code: bytes, column: int, line_break: str) -> bytes:
    lines = [code[at : at + column] for at in range(0, len(code), column)]
    return line_break.encode().join(lines)


def core(secret: bytes, before: bytes) -> tuple[int, int]:
    """What of the base64 depends on the secret alone."""
    return -(-len(before) * 8 // 6), (len(before) + len(secret)) * 8 // 6


def left(code: bytes, result: bytes, line_break: str) -> list[bytes]:
    """The pieces of a code that can be read in the result."""
    read = result.replace(line_break.encode(), b"")
    return [code[at : at + PIECE] for at in range(len(code) - PIECE + 1)
            if code[at : at + PIECE] in read]  # fmt: skip


@given(
    SECRETS,
    st.binary(max_size=80),
    st.binary(max_size=20),
    st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]),
    st.integers(3, 100),
    st.sampled_from(BREAKS),
    st.lists(st.integers(0, 400), max_size=30),
)
@example(TOKEN, b"run:", b"", base64.b64encode, 76, "\n", [])
@example(TOKEN, b"run:", b"", base64.b64encode, 76, BREAKS[3], [])
@example(TOKEN, b"", b"\n", base64.b64encode, 64, "\n", [65])
@example("00000000", b"", b"", base64.b64encode, 3, "\n", [])
def test_no_piece_of_the_base64_of_a_secret_is_shown(
    secret: str,
    before: bytes,
    after: bytes,
    encode: object,
    column: int,
    line_break: str,
    cuts: list[int],
) -> None:
    assert callable(encode)
    code = encode(before + secret.encode() + after)
    start, stop = core(secret.encode(), before)
    log = b"it is " + wrapped(code, column, line_break) + b"\nthe end\n"

    result = shown([secret], pieces(log, cuts))

    assert not left(code[start:stop], result, line_break)


@given(
    SECRETS,
    st.binary(max_size=40),
    st.sampled_from([bytes.hex, lambda text: bytes.hex(text).upper()]),
    st.integers(3, 100),
    st.sampled_from(BREAKS),
    st.lists(st.integers(0, 400), max_size=30),
)
def test_no_piece_of_the_hex_of_a_secret_is_shown(
    secret: str, before: bytes, to_hex: object, column: int, line_break: str, cuts: list[int]
) -> None:
    assert callable(to_hex)
    code = to_hex(secret.encode()).encode()
    log = wrapped(to_hex(before).encode() + code, column, line_break)

    result = shown([secret], pieces(log, cuts))

    assert not left(code, result, line_break)


@given(
    st.lists(SECRETS, min_size=1, max_size=3),
    st.lists(st.one_of(st.integers(0, 2), st.text("abYW9\n\r+-_ ", max_size=9)), max_size=8),
    st.integers(3, 20),
    st.sampled_from(BREAKS),
    st.lists(st.integers(0, 300), max_size=30),
)
def test_what_is_shown_does_not_depend_on_how_the_log_is_cut(
    secrets: list[str], words: list[int | str], column: int, line_break: str, cuts: list[int]
) -> None:
    codes = [base64.b64encode(secret.encode()) for secret in secrets]
    log = b"".join(
        wrapped(codes[word % len(codes)], column, line_break)
        if isinstance(word, int)
        else word.encode()
        for word in words
    )

    result = shown(secrets, pieces(log, cuts))

    assert result == shown(secrets, [log])
    assert result == shown(secrets, [log[i : i + 1] for i in range(len(log))])


@pytest.mark.parametrize(
    "command",
    ["base64", "base64 -w 0", "base64 -w 64", "base64 -w 20", "od -An -tx1 | tr -d ' \\n'",
     "base64 | tr '+/' '-_'", "base64 | sed 's/^/    /'"],
)  # fmt: skip
def test_what_a_shell_makes_of_a_secret_is_masked(command: str) -> None:
    script = f"printf 'run:%s' \"$SECRET\" | {command}"
    done = subprocess.run(
        ["sh", "-c", script], env={"SECRET": TOKEN, "PATH": "/usr/bin:/bin"},
        capture_output=True, check=True,
    )  # fmt: skip

    result = shown([TOKEN], [done.stdout])

    assert b"***" in result
    assert len(result.strip()) < 20


def test_a_short_secret_does_not_mask_other_text() -> None:
    log = b"".join(b"resource.web[%d]: Creation complete after 0s [id=%x]\n" % (n, n * 7919)
                   for n in range(500))  # fmt: skip

    assert shown(["abc", "12345"], [log]).count(b"***") < 10


def test_the_data_of_others_stays_readable() -> None:
    log = base64.encodebytes(Random(1).randbytes(20_000))

    assert shown([TOKEN], [log]) == log


def test_a_line_is_shown_at_once_when_it_does_not_end_like_a_code() -> None:
    redactor = Redactor([TOKEN])

    assert redactor.feed(b"Apply complete!\n") == b"Apply complete!\n"
