"""Check that the publisher of a tool has signed a document."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from runner.errors import ToolError
from runner.job import ToolName
from runner.tools import openpgp
from runner.tools.openpgp import Certificate, Malformed, Signature

# The public keys that are shipped, in runner/tools/keys, with their fingerprints. HashiCorp's is
# https://www.hashicorp.com/.well-known/pgp-key.txt, which hashicorp/hc-install has too
# (internal/pubkey); OpenTofu's is https://get.opentofu.org/opentofu.asc, which opentofu/tofudl has
# too (branding). Both are compared by fingerprint whenever they are read.
SHIPPED: dict[ToolName, tuple[str, str]] = {
    "terraform": ("hashicorp.asc", "C874011F0AB405110D02105534365D9472D7468F"),
    "tofu": ("opentofu.asc", "E3E6E43D84CB852EADB0051D0C0AF313E5FD9F80"),
}
LARGEST = 1 << 20  # bytes of a file with keys
_AHEAD = 24 * 3600  # seconds that the publisher's clock may be ahead of ours


def shipped(name: ToolName) -> list[Certificate]:
    """The key of the publisher of this tool. Raises ToolError `key-invalid`."""
    file, fingerprint = SHIPPED[name]
    found = keys(resources.files("runner.tools").joinpath("keys", file).read_bytes(), file)
    if [key.primary.fingerprint for key in found] != [fingerprint]:
        raise ToolError("key-invalid", f"The shipped key {file} is not {fingerprint}.")
    return found


def keys_in(file: Path) -> list[Certificate]:
    """The public keys in a file, binary or armored. Raises ToolError `key-invalid`."""
    try:
        with file.open("rb") as stream:
            return keys(stream.read(LARGEST + 1), str(file))
    except OSError as error:
        raise ToolError("key-invalid", f"{file} cannot be read: {error.strerror}.") from None


def keys(content: bytes, name: str) -> list[Certificate]:
    """The public keys in a file, binary or armored. Raises ToolError `key-invalid`."""
    try:
        found = openpgp.certificates(content[:LARGEST])
    except Malformed as error:
        raise ToolError("key-invalid", f"{name} is no OpenPGP key: {error}.") from None
    if not found:
        raise ToolError("key-invalid", f"There is no OpenPGP public key in {name}.")
    return found


def check(document: bytes, signed: bytes, trusted: Sequence[Certificate], name: str) -> str:
    """The fingerprint of the trusted key that has signed the document.

    Raises ToolError with `signature-invalid`, `signature-by-another-key` or `key-expired`.
    """
    try:
        found = openpgp.signature(signed)
    except Malformed as error:
        raise _invalid(name, f"its signature cannot be read: {error}") from None
    for key in trusted:
        for signer in key.signers:
            if signer.key.fingerprint.endswith(found.issuer):
                _check(document, found, signer, name)
                _check_age(key, name)
                return key.primary.fingerprint
    ours = ", ".join(key.primary.fingerprint for key in trusted)
    raise ToolError(
        "signature-by-another-key",
        f"{name} is signed with the key {found.issuer or '(not named)'}, and not with {ours}.",
    )


def _check(document: bytes, found: Signature, signer: openpgp.Signer, name: str) -> None:
    now = time.time()
    if found.kind != openpgp.DOCUMENT or not found.is_by(signer.key, document):
        raise _invalid(name, "its signature is not for this content: one of the two was changed")
    if found.created > now + _AHEAD:
        raise _invalid(name, "its signature is of the future: set this machine's clock")
    if found.expires_after and found.created + found.expires_after < now:
        raise _invalid(name, "its signature has expired")
    if found.created < signer.key.created or found.created > (signer.expires or found.created):
        raise _invalid(name, "its signature was made when the key was not valid")


def _check_age(key: Certificate, name: str) -> None:
    if key.is_revoked or (key.expires is not None and key.expires < time.time()):
        raise ToolError(
            "key-expired",
            f"{name} is signed with the key {key.primary.fingerprint}, which has expired or was "
            "revoked. Give the present key of the publisher: --key FILE, or "
            "STATEROOM_TOOLS_KEY.",
        )


def _invalid(name: str, why: str) -> ToolError:
    return ToolError("signature-invalid", f"{name} is not accepted: {why}.")
