"""Made-up state documents and LockInfos, as terraform and tofu send them."""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from datetime import UTC, datetime

LINEAGE = "d0c70000-0000-4000-8000-5ca7c45ca7c4"
FORCED = "state-push"  # the operation of a lock under which every serial is accepted
YEAR_1 = "0001-01-01T00:00:00Z"  # Go's empty time


def state_document(
    serial: int = 1, *, lineage: str = LINEAGE, output: str = "", size: int = 0
) -> bytes:
    """A state as terraform writes it. `size` pads it with random digits to that many bytes."""
    value = output or secrets.token_hex(8)
    document = {
        "version": 4,
        "terraform_version": "1.11.4",
        "serial": serial,
        "lineage": lineage,
        "outputs": {"doctor": {"value": value, "type": "string"}},
        "resources": [],
        "check_results": None,
    }
    body = json.dumps(document, indent=2).encode() + b"\n"
    if len(body) >= size:
        return body
    missing = size - len(body)
    filler = secrets.token_hex((missing + 1) // 2)[:missing]
    return body.replace(value.encode(), value.encode() + filler.encode(), 1)


def encrypted_document(serial: int = 1, *, lineage: str = LINEAGE) -> bytes:
    """A state that OpenTofu encrypted itself, which has no `version`."""
    document = {
        "serial": serial,
        "lineage": lineage,
        "meta": {"key_provider.pbkdf2.doctor": base64.b64encode(b"salt").decode()},
        "encrypted_data": base64.b64encode(secrets.token_bytes(64)).decode(),
        "encryption_version": "v0",
    }
    return json.dumps(document).encode()


def lock_info(
    lock_id: str = "", *, operation: str = "OperationTypeApply", who: str = "stateroom@doctor"
) -> dict[str, str]:
    """A LockInfo with all its keys, in Go's order."""
    return {
        "ID": lock_id or str(uuid.uuid4()),
        "Operation": operation,
        "Info": "",
        "Who": who,
        "Version": "1.11.4",
        "Created": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "Path": "",
    }


def only_the_id(lock_id: str) -> dict[str, str]:
    """The LockInfo that tofu's force-unlock sends."""
    return dict.fromkeys(lock_info(), "") | {"ID": lock_id, "Created": YEAR_1}


def go_json(info: dict[str, str]) -> bytes:
    """JSON as Go's encoder writes it: no spaces, and `<`, `>` and `&` escaped."""
    text = json.dumps(info, separators=(",", ":"), ensure_ascii=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode()
