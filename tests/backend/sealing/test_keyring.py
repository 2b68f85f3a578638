"""The keyring's file, and what wrapping promises."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import Unreadable
from backend.sealing import keyring_file
from backend.sealing.crypto import bind, new_data_key
from backend.sealing.keyring import Envelope, Keyring, WrongKeyring

AAD = bind("state", "st_1", 1)
A, B = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "keyring"


def test_a_new_keyring_is_readable_by_its_owner_alone(path: Path) -> None:
    previous = os.umask(0)

    try:
        Keyring.create(path)
    finally:
        os.umask(previous)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [found.name for found in path.parent.iterdir()] == ["keyring"]


def test_a_keyring_is_never_overwritten(path: Path) -> None:
    Keyring.create(path)
    text = path.read_text()

    with pytest.raises(FileExistsError):
        Keyring.create(path)

    assert path.read_text() == text
    assert [found.name for found in path.parent.iterdir()] == ["keyring"]


def test_what_was_wrapped_opens_with_the_loaded_keyring(path: Path) -> None:
    data_key = new_data_key()
    envelope = Keyring.create(path).wrap(data_key, AAD)

    assert Keyring.load(path).unwrap(envelope, AAD) == data_key
    assert len(envelope.wrapped_key) == 60


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_keyring_that_others_can_touch_is_refused(path: Path, mode: int) -> None:
    Keyring.create(path)
    path.chmod(mode)

    with pytest.raises(WrongKeyring, match=f"chmod 600 {path}"):
        Keyring.load(path)


def test_a_missing_keyring_says_where_it_should_be(path: Path) -> None:
    with pytest.raises(WrongKeyring, match=f"{path} is missing.*backup"):
        Keyring.load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# only a comment; nothing else\n", "is empty"),
        ("k1\n", "Line 1 .* is not `name base64`"),
        (f"\nk1 {A} extra", "Line 2 .* is not `name base64`"),
        (f"k/1 {A}", "is not `name base64`"),
        ("k1 not-base64!", "k1 is not base64"),
        ("k1 AAAA", "24 bits, not 256"),
        (f"k1 {A}\nk1 {B}", "two keys named k1"),
    ],
)
def test_a_wrong_keyring_is_told_by_line_and_never_shows_a_key(text: str, message: str) -> None:
    with pytest.raises(WrongKeyring, match=message) as caught:
        Keyring.from_text(text)

    assert A not in str(caught.value)


def test_a_file_that_is_no_text_is_refused(path: Path) -> None:
    Keyring.create(path)
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(WrongKeyring, match=str(path)):
        Keyring.load(path)


def test_a_keyring_fits_in_one_environment_variable() -> None:
    keyring = Keyring.from_text(f"k2 {B};k1 {A}")

    assert keyring.current == "k2"
    assert list(keyring.keys) == ["k2", "k1"]


def test_a_keyring_does_not_show_its_keys() -> None:
    keyring = Keyring.from_text(f"k1 {A}")

    assert A not in repr(keyring)
    assert repr(b"\1" * 32) not in repr(keyring)


def test_rotation_seals_with_the_new_key_and_still_opens_the_old(path: Path) -> None:
    data_key = new_data_key()
    old = Keyring.create(path).wrap(data_key, AAD)

    added = keyring_file.add(path)
    keyring = Keyring.load(path)
    keyring.seal_with(added)

    assert list(keyring.keys) == [old.key_id, added]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keyring.unwrap(old, AAD) == data_key
    new = keyring.rewrap(old, AAD)
    assert new.key_id == keyring.current == added
    assert keyring.unwrap(new, AAD) == data_key
    assert keyring.rewrap(new, AAD) == new


def test_an_added_key_only_opens_until_it_is_said_to_seal(path: Path) -> None:
    first = Keyring.create(path).current

    keyring_file.add(path)

    assert Keyring.load(path).current == first


def test_a_keyring_in_use_opens_with_a_key_that_was_added_since(path: Path) -> None:
    in_use, elsewhere, data_key = Keyring.create(path), Keyring.load(path), new_data_key()
    elsewhere.seal_with(keyring_file.add(path))

    envelope = elsewhere.wrap(data_key, AAD)

    assert in_use.unwrap(envelope, AAD) == data_key


def test_a_keyring_in_use_forgets_no_key(path: Path) -> None:
    in_use = Keyring.create(path)
    first = in_use.current
    envelope = in_use.wrap(new_data_key(), AAD)
    keyring_file.add(path)

    keyring_file.remove(path, first)
    in_use.refresh()

    assert in_use.unwrap(envelope, AAD)
    assert len(in_use.keys) == 2
    assert first not in Keyring.load(path).keys


def changed_key(text: str) -> str:
    return text.replace(text.rsplit(maxsplit=1)[-1], A)


@pytest.mark.parametrize("spoil", [lambda text: text[:-20], lambda _: "", changed_key])
def test_a_file_that_cannot_be_used_changes_nothing_for_a_keyring_in_use(
    path: Path, spoil: Callable[[str], str]
) -> None:
    in_use = Keyring.create(path)
    envelope = in_use.wrap(new_data_key(), AAD)
    before = dict(in_use.keys)

    path.write_text(spoil(path.read_text()))
    in_use.refresh()

    assert in_use.keys == before
    assert in_use.unwrap(envelope, AAD)


def test_two_that_add_a_key_at_once_both_add_it(path: Path) -> None:
    Keyring.create(path)

    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda _: keyring_file.add(path), range(16)))

    assert len(set(added)) == 16
    assert set(list(Keyring.load(path).keys)[1:]) == set(added)


def test_a_key_is_named_after_the_newest_one_also_when_older_ones_were_dropped(path: Path) -> None:
    first = Keyring.create(path).current
    second = keyring_file.add(path)

    keyring_file.remove(path, first)

    assert second.startswith("k2-")
    assert keyring_file.add(path).startswith("k3-")


def test_a_keyring_that_cannot_be_written_says_what_to_do(path: Path) -> None:
    Keyring.create(path)
    (path.parent / ".keyring.lock").mkdir()

    with pytest.raises(WrongKeyring, match="stateroom keys activate"):
        keyring_file.add(path)


def test_a_row_swapped_for_another_one_does_not_open() -> None:
    keyring = Keyring.from_text(f"k1 {A}")
    envelope = keyring.wrap(new_data_key(), bind("state", "st_1", 1))

    for other in (bind("state", "st_2", 1), bind("state", "st_1", 2), bind("key", "st_1", 1), b""):
        with pytest.raises(Unreadable):
            keyring.unwrap(envelope, other)


def test_a_key_that_is_not_there_is_named() -> None:
    envelope = Keyring.from_text(f"k1 {A}").wrap(new_data_key(), AAD)

    with pytest.raises(Unreadable, match="'k1', which the keyring does not have") as caught:
        Keyring.from_text(f"k2 {A}").unwrap(envelope, AAD)

    assert caught.value.code == "unknown-key"


def test_another_key_of_the_same_name_does_not_open() -> None:
    envelope = Keyring.from_text(f"k1 {A}").wrap(new_data_key(), AAD)

    with pytest.raises(Unreadable):
        Keyring.from_text(f"k1 {B}").unwrap(envelope, AAD)


@given(bit=st.integers(0, 60 * 8 - 1))
def test_a_flipped_bit_of_a_wrapped_key_does_not_open(bit: int) -> None:
    keyring = Keyring.from_text(f"k1 {A}")
    wrapped = bytearray(keyring.wrap(new_data_key(), AAD).wrapped_key)
    wrapped[bit // 8] ^= 1 << bit % 8

    with pytest.raises(Unreadable):
        keyring.unwrap(Envelope("k1", bytes(wrapped)), AAD)


@given(length=st.integers(0, 59))
def test_a_cut_wrapped_key_does_not_open(length: int) -> None:
    keyring = Keyring.from_text(f"k1 {A}")
    wrapped = keyring.wrap(new_data_key(), AAD).wrapped_key

    with pytest.raises(Unreadable):
        keyring.unwrap(Envelope("k1", wrapped[:length]), AAD)
