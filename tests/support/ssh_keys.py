"""SSH keys of every kind, as people have them."""

from __future__ import annotations

from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from runner.job import SshKey

Kind = Literal["ed25519", "ecdsa", "rsa"]
Form = Literal["openssh", "pkcs8", "pem"]

_FORMS = {
    "openssh": PrivateFormat.OpenSSH,
    "pkcs8": PrivateFormat.PKCS8,
    "pem": PrivateFormat.TraditionalOpenSSL,
}


def ssh_key(
    kind: Kind = "ed25519", form: Form = "openssh", passphrase: str | None = None
) -> tuple[SshKey, str]:
    """A new key and its public line."""
    private = _private(kind)
    locked: KeySerializationEncryption = NoEncryption()
    if passphrase:
        locked = BestAvailableEncryption(passphrase.encode())
    text = private.private_bytes(Encoding.PEM, _FORMS[form], locked).decode()
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return SshKey(text, passphrase), public.decode()


def _private(
    kind: Kind,
) -> ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    if kind == "ecdsa":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()
