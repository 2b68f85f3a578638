"""What terraform puts on the wire: state documents and LockInfos."""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from typing import Any

from client.conformance import documents


def state_document(
    serial: int = 1, *, lineage: str = "", outputs: dict[str, Any] | None = None, size: int = 0
) -> bytes:
    """A state as terraform writes it; `size` pads it to about that many, of random digits."""
    document = {
        "version": 4,
        "terraform_version": "1.11.4",
        "serial": serial,
        "lineage": lineage or str(uuid.uuid4()),
        "outputs": {
            name: {"value": value, "type": "string"} for name, value in (outputs or {}).items()
        },
        "resources": [],
        "check_results": None,
    }
    if size:
        document["outputs"] = {"padding": {"value": secrets.token_hex(size // 2), "type": "string"}}
    return json.dumps(document, indent=2).encode() + b"\n"


def encrypted_document(serial: int = 1, *, lineage: str = "", secret: bytes = b"opaque") -> bytes:
    """A state that OpenTofu has encrypted itself: it has no `version`."""
    document = {
        "serial": serial,
        "lineage": lineage or str(uuid.uuid4()),
        "meta": {"key_provider.pbkdf2.passphrase": base64.b64encode(b"salt").decode()},
        "encrypted_data": base64.b64encode(secret).decode(),
        "encryption_version": "v0",
    }
    return json.dumps(document).encode()


def lock_info(
    lock_id: str = "", *, operation: str = "OperationTypeApply", who: str = "ann@laptop"
) -> dict[str, str]:
    """As the conformance suite makes it up; made by somebody, at a time, that tests know."""
    made = documents.lock_info(lock_id, operation=operation, who=who)
    return made | {"Created": "2024-05-06T07:08:09.123456789Z"}
