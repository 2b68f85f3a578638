"""SSH private keys, as people paste them."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from backend.errors import Invalid

MAX_LENGTH = 32_768
MAX_ROUNDS = 256  # of bcrypt: `ssh-keygen -a`, 16 or 24 by default; 256 take about 3 seconds

# One block with nothing around it, so that the library reads exactly what is checked here.
_PEM = re.compile(
    r"-----BEGIN (?P<label>(?:[A-Z]+ )?)PRIVATE KEY-----\n"
    r"(?:[A-Za-z-]+: [0-9A-Za-z,-]+\n)*\n*"
    r"(?P<body>(?:[0-9A-Za-z+/=]+\n)+)"
    r"-----END (?P=label)PRIVATE KEY-----\n"
)
_PUBLIC = re.compile(
    r"(ssh-|ecdsa-|sk-)[\w@.-]+ AAAA|-----BEGIN (RSA )?PUBLIC KEY|---- BEGIN SSH2 PUBLIC KEY"
)
_Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class SshKey:
    """A private key that its passphrase opens. `fingerprint` is as `ssh-keygen -l` shows it."""

    private_key: str = field(repr=False)
    passphrase: str | None = field(repr=False)
    public_key: str
    fingerprint: str


def generate() -> str:
    """A new Ed25519 private key in OpenSSH form, without a passphrase."""
    made = ed25519.Ed25519PrivateKey.generate()
    return made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def read(pasted: str, passphrase: str | None) -> SshKey:
    """Read a private key. Raises Invalid that says what the text is instead, or what is wrong."""
    text = "\n".join(line.strip() for line in pasted.strip().splitlines()) + "\n"
    _refuse_other_things(text)
    pem = _PEM.fullmatch(text)
    if pem is None:
        raise _broken()
    if pem["label"] == "OPENSSH ":
        _refuse_endless_work(pem["body"])
    key, secret = _opened(text, passphrase or None)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    digest = hashlib.sha256(base64.b64decode(public.split()[1])).digest()
    fingerprint = "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
    return SshKey(text, secret, public, fingerprint)


def _refuse_other_things(text: str) -> None:
    if text.startswith("PuTTY-User-Key-File"):
        raise Invalid(
            "This is a PuTTY key. Convert it: `puttygen KEY.ppk -O private-openssh -o KEY`, or in "
            "PuTTYgen with Conversions, Export OpenSSH key.",
            code="ssh-key-putty",
        )
    if _PUBLIC.match(text):
        raise Invalid(
            "This is a public key. Paste the private key: the file without .pub at the end.",
            code="ssh-key-public",
        )
    if "-----BEGIN ENCRYPTED PRIVATE KEY-----" in text:
        raise Invalid(
            "This is an encrypted PKCS#8 key. Convert it: `ssh-keygen -p -f KEY`.",
            code="ssh-key-format",
        )
    if not re.match(r"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----", text):
        raise Invalid(
            "This is not a private key: one begins with -----BEGIN OPENSSH PRIVATE KEY----- or "
            "-----BEGIN RSA PRIVATE KEY-----.",
            code="ssh-key-invalid",
        )


def _refuse_endless_work(body: str) -> None:
    """Refuse a key file that asks for so many rounds that opening it takes the server too long."""
    try:
        rounds = _rounds(base64.b64decode(body))
    except ValueError:
        raise _broken() from None
    if rounds > MAX_ROUNDS:
        raise Invalid(
            f"The key asks for {rounds:,} rounds of bcrypt, which takes too long. Use fewer: "
            "`ssh-keygen -p -a 64 -f KEY`.",
            code="ssh-key-rounds",
        )


def _rounds(raw: bytes) -> int:
    """The rounds in an openssh-key-v1 file: magic, cipher, kdf name, kdf options (salt, rounds)."""
    rest = raw.removeprefix(b"openssh-key-v1\0")
    for _ in range(2):
        _, rest = _string(rest)
    options, _ = _string(rest)
    if not options:
        return 0
    _, rounds = _string(options)
    return int.from_bytes(rounds[:4], "big")


def _string(raw: bytes) -> tuple[bytes, bytes]:
    end = 4 + int.from_bytes(raw[:4], "big")
    if len(raw) < max(end, 4):
        raise ValueError("cut short")
    return raw[4:end], raw[end:]


def _opened(text: str, passphrase: str | None) -> tuple[_Private, str | None]:
    """The key, and the passphrase that it needs."""
    try:
        return _load(text, None), None
    except TypeError:  # it is encrypted
        pass
    if passphrase is None:
        raise Invalid("The key has a passphrase: send it too.", code="ssh-key-passphrase")
    try:
        return _load(text, passphrase), passphrase
    except (Invalid, TypeError):
        raise Invalid("The passphrase does not open the key.", code="ssh-key-passphrase") from None


def _load(text: str, passphrase: str | None) -> _Private:
    """Raises TypeError when the key is encrypted and there is no passphrase."""
    load = load_ssh_private_key if text.startswith("-----BEGIN OPENSSH") else load_pem_private_key
    try:
        # checking the primes would take seconds, and a bad key harms only its owner
        key = load(
            text.encode(),
            passphrase.encode() if passphrase else None,
            unsafe_skip_rsa_key_validation=True,
        )
    except (ValueError, UnsupportedAlgorithm):
        raise _broken() from None
    if not isinstance(key, _Private):
        raise Invalid(
            "SSH takes Ed25519, ECDSA and RSA keys. Make one: `ssh-keygen -t ed25519`.",
            code="ssh-key-type",
        )
    return key


def _broken() -> Invalid:
    return Invalid(
        "The private key cannot be read: it is damaged, cut short, or of a kind that SSH does not "
        "support. Paste the whole file, from -----BEGIN to -----END.",
        code="ssh-key-invalid",
    )
