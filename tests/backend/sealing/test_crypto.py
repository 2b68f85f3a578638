"""Sealed values, what binds them to their rows, and tokens."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import Unreadable
from backend.sealing import crypto
from backend.sealing.crypto import Keyring, Sealed, bind

OLD, NEW = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
KEYRING = Keyring.from_text(f"k1 {OLD}")
ROTATED = Keyring.from_text(f"k2 {NEW}\nk1 {OLD}")
AAD = bind("key", "key_1")
PART = st.none() | st.integers() | st.text(max_size=6)


@given(plaintext=st.binary(max_size=2000))
def test_a_sealed_value_opens_to_the_same_bytes(plaintext: bytes) -> None:
    packed = crypto.seal_value(KEYRING, plaintext, AAD)

    assert crypto.open_value(KEYRING, packed, AAD) == plaintext


def test_a_secret_is_not_in_its_sealed_value() -> None:
    secret = b"correct horse battery staple"

    packed = crypto.seal_value(KEYRING, secret, AAD)

    assert secret not in packed
    assert packed != crypto.seal_value(KEYRING, secret, AAD)


def test_a_value_of_another_row_does_not_open() -> None:
    packed = crypto.seal_value(KEYRING, b"secret", bind("key", "key_1"))

    with pytest.raises(Unreadable):
        crypto.open_value(KEYRING, packed, bind("key", "key_2"))


def test_the_body_of_one_row_under_the_key_of_another_does_not_open() -> None:
    mine, other = (crypto.seal(text, KEYRING, AAD) for text in (b"mine", b"other"))

    with pytest.raises(Unreadable):
        crypto.open_sealed(Sealed(mine.envelope, other.ciphertext), KEYRING, AAD)


@given(data=st.data())
def test_a_flipped_bit_of_a_sealed_value_does_not_open(data: st.DataObject) -> None:
    packed = bytearray(crypto.seal_value(KEYRING, b"secret", AAD))
    bit = data.draw(st.integers(0, len(packed) * 8 - 1))
    packed[bit // 8] ^= 1 << bit % 8

    with pytest.raises(Unreadable):
        crypto.open_value(KEYRING, bytes(packed), AAD)


@given(data=st.data())
def test_a_sealed_value_that_was_cut_or_extended_does_not_open(data: st.DataObject) -> None:
    packed = crypto.seal_value(KEYRING, b"secret", AAD)
    cut = packed[: data.draw(st.integers(0, len(packed) - 1))]
    extended = packed + data.draw(st.binary(min_size=1, max_size=9))

    for changed in (cut, extended):
        with pytest.raises(Unreadable):
            crypto.open_value(KEYRING, changed, AAD)


def test_rotation_rewraps_a_value_and_leaves_its_body() -> None:
    packed = crypto.seal_value(KEYRING, b"secret", AAD)

    rewrapped = crypto.rewrap_value(ROTATED, packed, AAD)

    assert (crypto.value_key_id(packed), crypto.value_key_id(rewrapped)) == ("k1", "k2")
    assert crypto.open_value(ROTATED, rewrapped, AAD) == b"secret"
    assert Sealed.unpack(packed).ciphertext == Sealed.unpack(rewrapped).ciphertext
    assert crypto.rewrap_value(ROTATED, rewrapped, AAD) == rewrapped


def test_a_value_of_another_row_cannot_be_rewrapped() -> None:
    packed = crypto.seal_value(KEYRING, b"secret", AAD)

    with pytest.raises(Unreadable):
        crypto.rewrap_value(ROTATED, packed, bind("key", "key_2"))


@given(first=st.lists(PART, max_size=5), second=st.lists(PART, max_size=5))
def test_different_things_never_bind_alike(
    first: list[str | int | None], second: list[str | int | None]
) -> None:
    same = [(type(p), p) for p in first] == [(type(p), p) for p in second]

    assert (bind(*first) == bind(*second)) == same


def test_a_number_and_its_text_bind_differently() -> None:
    assert len({bind(1, 23), bind(12, 3), bind("1", 23), bind("123"), bind(None), bind("")}) == 6


def test_a_token_is_well_formed_and_no_two_are_the_same() -> None:
    tokens = [crypto.new_token("stateroom") for _ in range(100)]

    assert all(crypto.token_well_formed(token) for token in tokens)
    assert all(token.startswith("stateroom_") and len(token) == 59 for token in tokens)
    assert len({crypto.token_hash(token) for token in tokens}) == 100


@given(at=st.integers(0, 58), letter=st.sampled_from("aZ09_-é "))
def test_a_mistyped_token_is_told_without_the_database(at: int, letter: str) -> None:
    token = crypto.new_token("stateroom")
    mistyped = token[:at] + letter + token[at + 1 :]

    assert crypto.token_well_formed(mistyped) == (mistyped == token)


@given(text=st.text(st.characters(exclude_categories=())))
def test_no_text_is_too_odd_to_be_asked_as_a_token(text: str) -> None:
    assert not crypto.token_well_formed(text)
    assert len(crypto.token_hash(text)) == 32
