"""The shipped keys, and signatures by other programs than ours."""

from __future__ import annotations

import pysequoia
import pytest

from runner.errors import ToolError
from runner.tools import signatures
from tests.support.project import ROOT
from tests.support.publisher import signed

# the checksums of a provider of HashiCorp's, and their signature by its key (of 2021, as in the
# tests of Terraform): made with Go's OpenPGP, by a subkey that has expired since
RELEASE = ROOT / "tests" / "cases" / "releases"


@pytest.mark.parametrize("name", ["terraform", "tofu"])
def test_the_shipped_keys_are_those_of_the_publishers(name: str) -> None:
    [key] = signatures.shipped(name)  # type: ignore[arg-type]

    assert key.primary.fingerprint == signatures.SHIPPED[name][1]  # type: ignore[index]
    assert not key.is_revoked
    assert key.signers


def test_a_real_signature_of_hashicorp_is_good() -> None:
    sums = (RELEASE / "null_3.1.0_SHA256SUMS").read_bytes()
    signature = (RELEASE / "null_3.1.0_SHA256SUMS.sig").read_bytes()
    keys = signatures.shipped("terraform")

    assert signatures.check(sums, signature, keys, "it") == keys[0].primary.fingerprint

    for changed in (sums[:-1], sums + b"\n", b""):
        with pytest.raises(ToolError) as refused:
            signatures.check(changed, signature, keys, "it")
        assert refused.value.code == "signature-invalid"


def test_a_real_signature_of_hashicorp_is_none_of_opentofu() -> None:
    sums = (RELEASE / "null_3.1.0_SHA256SUMS").read_bytes()
    signature = (RELEASE / "null_3.1.0_SHA256SUMS.sig").read_bytes()

    with pytest.raises(ToolError) as refused:
        signatures.check(sums, signature, signatures.shipped("tofu"), "it")

    assert refused.value.code == "signature-by-another-key"


def test_every_changed_byte_of_a_signature_makes_it_worthless(key: pysequoia.Tsk) -> None:
    trusted = signatures.keys(bytes(key.extract_certificate()), "it")
    signature = signed(b"a document", key)

    assert signatures.check(b"a document", signature, trusted, "it")

    accepted = []
    for at in range(len(signature)):
        changed = bytearray(signature)
        changed[at] ^= 0x01
        try:
            signatures.check(b"a document", bytes(changed), trusted, "it")
        except ToolError:
            continue
        accepted.append(at)
    # bytes that are not signed: the issuer that is a hint, lengths of it, and of the number
    assert not [at for at in accepted if is_signed(signature, at)]


def is_signed(signature: bytes, at: int) -> bool:
    """Whether a byte is of the signed part, or of the number."""
    header = 3 if signature[1] >= 192 else 2
    end = header + 6 + int.from_bytes(signature[header + 4 : header + 6])
    hints = int.from_bytes(signature[end : end + 2])
    return header <= at < end or at >= end + 2 + hints + 2 + 2


@pytest.mark.parametrize("armored", [True, False])
def test_keys_and_signatures_may_be_armored(key: pysequoia.Tsk, *, armored: bool) -> None:
    mode = pysequoia.SignatureMode.DETACHED
    signature = pysequoia.sign(key.signer(), b"a document", mode=mode, armor=armored)
    certificate = key.extract_certificate()
    content = str(certificate).encode() if armored else bytes(certificate)

    found = signatures.check(b"a document", signature, signatures.keys(content, "it"), "it")

    assert found == certificate.fingerprint.upper()


def test_a_key_that_somebody_added_to_another_one_does_not_sign_for_it(
    key: pysequoia.Tsk, another_key: pysequoia.Tsk
) -> None:
    """A subkey without the primary key's signature: what a merged file may contain."""
    packets = list(pysequoia.packet.PacketPile.from_bytes(bytes(another_key.extract_certificate())))
    stolen = b"".join(
        bytes(packet)
        for packet in packets
        if "Subkey" in str(packet.tag) or "Sig" in str(packet.tag)
    )
    trusted = signatures.keys(bytes(key.extract_certificate()) + stolen, "it")

    with pytest.raises(ToolError) as refused:
        signatures.check(b"a document", signed(b"a document", another_key), trusted, "it")

    assert refused.value.code == "signature-by-another-key"


@pytest.mark.parametrize("length", range(0, 400, 7))
def test_a_key_that_is_cut_off_is_refused(key: pysequoia.Tsk, length: int) -> None:
    with pytest.raises(ToolError) as refused:
        signatures.keys(bytes(key.extract_certificate())[:length], "it")

    assert refused.value.code == "key-invalid"
