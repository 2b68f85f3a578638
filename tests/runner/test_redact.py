import base64
import json
import random
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.redact import Redactor

# a mask may look like a part of a secret that has stars in it
CHARACTERS = st.characters(codec="utf-8", exclude_characters="*")
SECRETS = st.text(CHARACTERS, min_size=6, max_size=40).filter(lambda text: len(text.strip()) >= 6)
SHORT = st.text(CHARACTERS, min_size=3, max_size=5)
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n" + "".join(
    base64.b64encode(random.Random(line).randbytes(48)).decode() + "\n" for line in range(20)
)


def shown(secrets: list[str], chunks: list[bytes]) -> bytes:
    redactor = Redactor(secrets)
    return b"".join(map(redactor.feed, chunks)) + redactor.flush()


def pieces(text: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    return [text[start:stop] for start, stop in pairwise(places)]


@given(
    st.lists(SECRETS, min_size=1, max_size=4),
    st.lists(st.one_of(st.integers(0, 3), st.text(max_size=6)), max_size=12),
    st.lists(st.integers(0, 200), max_size=30),
)
@example(["aabaab"], ["aaa", 0, "ab"], [1, 2, 3, 4, 5, 6])
@example(["abcdef", "defghi"], ["abcdefghi"], [2, 4])
@example(["ababab"], ["ababababab"], [3])
def test_no_secret_survives_however_the_log_is_cut(
    secrets: list[str], words: list[int | str], cuts: list[int]
) -> None:
    log = "".join(
        secrets[word % len(secrets)] if isinstance(word, int) else word for word in words
    ).encode()

    result = shown(secrets, pieces(log, cuts))

    assert not [secret for secret in secrets if secret.encode() in result]
    assert result == shown(secrets, [log])
    assert result == shown(secrets, [log[i : i + 1] for i in range(len(log))])


@given(
    st.lists(st.one_of(SECRETS, SHORT), min_size=1, max_size=4),
    st.lists(st.one_of(st.integers(0, 3), st.text(max_size=3)), max_size=12),
    st.lists(st.integers(0, 200), max_size=30),
)
@example(["a1b"], ["x", 0], [1, 2])
@example(["a1b"], [0, "x"], [3])
@example(["a1b", "a1b2c3d"], ["a1b", "2c"], [3])
def test_what_is_masked_does_not_depend_on_where_the_log_is_cut(
    secrets: list[str], words: list[int | str], cuts: list[int]
) -> None:
    log = "".join(
        secrets[word % len(secrets)] if isinstance(word, int) else word for word in words
    ).encode()

    assert shown(secrets, pieces(log, cuts)) == shown(secrets, [log])


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (b"a1b", b"***"),
        (b'key = "a1b".', b'key = "***".'),
        (b"data1b xa1b a1b2 _a1b", b"data1b xa1b a1b2 _a1b"),
        (b"YTFi is a1b in base64", b"*** is *** in base64"),
        (b"i-0a1bc, a1b\n", b"i-0a1bc, ***\n"),
    ],
)
def test_a_short_secret_is_masked_where_it_is_a_word_of_its_own(text: bytes, masked: bytes) -> None:
    for cut in range(len(text) + 1):
        assert shown(["a1b"], [text[:cut], text[cut:]]) == masked


def test_a_secret_that_is_learned_later_is_masked_in_what_is_held_back_too() -> None:
    redactor = Redactor(["correct-horse"])
    first = redactor.feed(b"it was correct")

    redactor.learn(["correct-donkey"])
    rest = redactor.feed(b"-donkey, not correct-horse") + redactor.flush()

    assert first + rest == b"it was ***, not ***"


def test_a_secret_in_pieces_is_masked_at_every_place_where_it_can_be_cut() -> None:
    secret = "correct-horse-battery"
    log = f"before {secret} after".encode()

    results = {shown([secret], [log[:cut], log[cut:]]) for cut in range(len(log))}

    assert results == {b"before *** after"}


@given(SECRETS, st.binary(max_size=4), st.binary(max_size=4), st.lists(st.integers(0, 90)))
def test_base64_around_a_secret_shows_nothing_of_it_whatever_comes_before(
    secret: str, before: bytes, after: bytes, cuts: list[int]
) -> None:
    raw = secret.encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        code = encode(before + raw + after)

        result = shown([secret], pieces(code, cuts))

        # what depends on the secret alone
        start, stop = -(-len(before) * 8 // 6), (len(before) + len(raw)) * 8 // 6
        assert code[start:stop] not in result


@pytest.mark.parametrize(
    "printed",
    [
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: json.dumps(json.dumps(text)),
        lambda text: json.dumps(text).replace("<", "\\u003c").replace("&", "\\u0026"),
        lambda text: json.dumps(text).replace("${", "$${"),
        quote,
        lambda text: quote(text, safe=""),
        quote_plus,
        lambda text: text.replace(" ", "\n"),
    ],
)
def test_escaped_forms_of_a_secret_are_masked(printed: object) -> None:
    secret = 'pa"ss\\wo/rd é<&${x} two'
    assert callable(printed)
    form = str(printed(secret))

    result = shown([secret], [b"value: ", form.encode(), b"."])

    assert result in {b"value: ***.", b'value: "***".', b'value: "\\"***\\"".'}


def test_lower_case_url_encoding_is_masked() -> None:
    secret = "a/b+c/d"

    assert shown([secret], [b"x=a%2fb%2bc%2fd&"]) == b"x=***&"


def test_a_private_key_that_is_printed_indented_is_masked_line_by_line() -> None:
    log = "".join(f"  + {line}\r\n" for line in KEY.splitlines())

    result = shown([KEY], [log.encode()])

    assert not [line for line in KEY.splitlines() if line.encode() in result]


def test_the_key_inside_a_service_account_file_is_masked_when_it_is_printed_alone() -> None:
    account = json.dumps({"type": "service_account", "private_key": KEY})

    result = shown([account], [KEY.encode()])

    assert not [line for line in KEY.splitlines()[1:] if line.encode() in result]


def test_a_secret_that_terraform_wraps_over_two_lines_is_masked() -> None:
    assert (
        shown(["correct horse battery"], [b"is correct horse\nbattery staple"]) == b"is *** staple"
    )


def test_the_longest_of_secrets_that_begin_alike_is_masked_whole() -> None:
    assert shown(["pass", "password", "passport-number"], [b"password"]) == b"***"
    assert shown(["pass", "password", "passport-number"], [b"pass"]) == b"***"


def test_overlapping_secrets_leave_nothing_of_each_other() -> None:
    assert shown(["abcdef", "defghi"], [b"<abc", b"de", b"fghi>"]) == b"<***>"


def test_a_log_line_without_secrets_is_shown_at_once() -> None:
    redactor = Redactor(["correct-horse", KEY])

    assert (
        redactor.feed(b"Still creating... [10s elapsed]\n") == b"Still creating... [10s elapsed]\n"
    )


def test_only_what_may_become_a_secret_is_held_back() -> None:
    redactor = Redactor(["correct-horse"])

    first = redactor.feed(b"it is correct-h")
    second = redactor.feed(b"omework")

    assert (first, second, redactor.flush()) == (b"it is ", b"correct-homework", b"")


def test_what_is_held_at_the_end_is_shown() -> None:
    assert shown(["correct-horse"], [b"it is cor"]) == b"it is cor"


def test_secrets_of_one_or_two_characters_leave_the_log_readable() -> None:
    assert shown(["a", "", "42"], [b"a plan for 42"]) == b"a plan for 42"


def test_a_message_is_masked_apart_from_the_stream() -> None:
    redactor = Redactor(["correct-horse"])
    redactor.feed(b"it is correct")

    message = redactor.mask("cannot clone with correct-horse")

    assert message == "cannot clone with ***"
    assert redactor.feed(b"-horse!") == b"***!"


def test_bytes_that_are_no_text_pass_unchanged() -> None:
    noise = bytes(range(256))

    assert shown(["correct-horse"], [noise]) == noise


@pytest.mark.timeout(60)  # a search for each secret takes minutes
def test_thousands_of_secrets_do_not_stop_a_big_log() -> None:
    dice = random.Random(1)
    redactor = Redactor(base64.b64encode(dice.randbytes(24)).decode() for _ in range(2000))
    line = (
        b"module.network.aws_subnet.private[3]: Still creating... [id=subnet-0abc, 10s elapsed]\n"
    )

    shown_bytes = sum(len(redactor.feed(line * 100)) for _ in range(200))

    assert shown_bytes == len(line) * 100 * 200


def test_a_stream_of_single_bytes_that_nearly_is_a_long_secret_stays_quick() -> None:
    redactor = Redactor(["a" * 5000 + "b"])

    result = b"".join(redactor.feed(b"a") for _ in range(8000)) + redactor.flush()

    assert result == b"a" * 8000
