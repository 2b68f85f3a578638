"""Private keys of ssh: opening one with its passphrase, and signing with it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from runner.errors import SourceError
from runner.job import SshKey

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

# the flags of a request to sign; without one an RSA key signs as old servers want it
_SHA2_256, _SHA2_512 = 2, 4
_OF_CURVES: dict[int, hashes.HashAlgorithm] = {
    256: hashes.SHA256(),
    384: hashes.SHA384(),
    521: hashes.SHA512(),
}


@dataclass(frozen=True)
class OpenKey:
    """`line` is the public key as a file has it, `public` the same as it travels."""

    line: str
    public: bytes
    _private: PrivateKey = field(repr=False)

    def sign(self, data: bytes, flags: int) -> bytes:
        """The signature as RFC 4253 and its successors have it. Raises UnsupportedAlgorithm."""
        if isinstance(self._private, RSAPrivateKey):
            name, digest = _of_rsa(flags)
            signature = self._private.sign(data, padding.PKCS1v15(), digest)
        elif isinstance(self._private, EllipticCurvePrivateKey):
            name = self.line.split()[0]
            digest = _OF_CURVES[self._private.curve.key_size]
            r, s = decode_dss_signature(self._private.sign(data, ec.ECDSA(digest)))
            signature = _number(r) + _number(s)
        else:
            name, signature = self.line.split()[0], self._private.sign(data)
        return string(name.encode()) + string(signature)


def open_key(key: SshKey) -> OpenKey:
    """Raises SourceError: `ssh-key-invalid`, `ssh-key-passphrase`."""
    text = key.private_key.replace("\r\n", "\n").strip() + "\n"
    private = _load(text.encode(), key.passphrase)
    if not isinstance(private, PrivateKey):
        raise _unsupported()
    try:
        line = private.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
    except (ValueError, UnsupportedAlgorithm) as error:  # a curve that ssh does not have
        raise _unsupported() from error
    return OpenKey(line.decode(), base64.b64decode(line.split()[1]), private)


def string(content: bytes) -> bytes:
    """Bytes with their length before them, as ssh sends everything."""
    return len(content).to_bytes(4, "big") + content


def _of_rsa(flags: int) -> tuple[str, hashes.HashAlgorithm]:
    if flags & _SHA2_512:
        return "rsa-sha2-512", hashes.SHA512()
    if flags & _SHA2_256:
        return "rsa-sha2-256", hashes.SHA256()
    return "ssh-rsa", hashes.SHA1()  # noqa: S303 the client asks for it where a server knows no other


def _number(value: int) -> bytes:
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _unsupported() -> SourceError:
    return SourceError(
        "ssh-key-invalid", "This kind of SSH key is not supported: use Ed25519, ECDSA or RSA."
    )


def _loader(text: bytes) -> Callable[[bytes, bytes | None], object]:
    if b"BEGIN OPENSSH PRIVATE KEY" in text:
        return serialization.load_ssh_private_key
    return serialization.load_pem_private_key


def _load(text: bytes, passphrase: str | None) -> object:
    try:
        return _loader(text)(text, None)
    except TypeError:  # it is encrypted
        return _decrypted(text, passphrase)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SourceError(
            "ssh-key-invalid",
            "The SSH key is not a private key in PEM or OpenSSH form: store the whole file, with "
            "its BEGIN and END lines, and not the public key.",
        ) from error


def _decrypted(text: bytes, passphrase: str | None) -> object:
    if not passphrase:
        raise SourceError(
            "ssh-key-passphrase", "The SSH key is encrypted: store its passphrase with it."
        )
    try:
        return _loader(text)(text, passphrase.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SourceError(
            "ssh-key-passphrase", "The passphrase does not open the SSH key."
        ) from error
