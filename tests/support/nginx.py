"""A real nginx on loopback, configured by a test."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.processes import Process, wait_until
from tests.support.required import missing

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port}{tls};
        {server}
    }}
}}
"""


@contextmanager
def nginx(folder: Path, port: int, server: str, certificate: Path | None = None) -> Iterator[str]:
    """An nginx with these lines in its `server` block, and its URL; with a certificate over TLS."""
    folder.mkdir()
    if certificate is not None:
        server += f"\nssl_certificate {certificate};\nssl_certificate_key {certificate};"
    tls = "" if certificate is None else " ssl"
    text = CONFIGURATION.format(folder=folder, port=port, server=server, tls=tls)
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    argv = [_program(), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = Process(
        argv, env={"PATH": os.environ["PATH"]}, cwd=folder, log=folder.with_suffix(".log")
    )
    try:
        wait_until(lambda: _listens(process, port), "nginx to listen")
        yield f"http{'' if certificate is None else 's'}://127.0.0.1:{port}"
    finally:
        process.stop()


def self_signed(path: Path, *, address: str = "127.0.0.1", days: int = 2) -> Path:
    """A certificate and its key in one file; with negative days it is expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "doctor")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + secret)
    return path


def _program() -> str:
    """The path of nginx, which Debian installs where only root's PATH finds it."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if found is None:
        missing("nginx is not installed")
    return found


def _listens(process: Process, port: int) -> bool:
    assert process.running, process.said()
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
