"""State documents to measure with."""

from __future__ import annotations

import base64
import json
import os
import uuid

LINEAGE = str(uuid.UUID(int=7))
FIRST_SERIAL = 1_000_000_000  # all serials have ten digits, so that they can be patched in place


def structured(size: int) -> bytes:
    """A state as terraform writes it, with about this many bytes."""
    resources = [_resource(number) for number in range(max(1, size // 900))]
    heading = {"version": 4, "terraform_version": "1.11.4", "serial": FIRST_SERIAL}
    document = heading | {"lineage": LINEAGE, "outputs": {}, "resources": resources}
    return json.dumps(document, indent=2).encode()


def _resource(number: int) -> dict[str, object]:
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]})
    attributes = {
        "id": str(uuid.uuid4()),
        "arn": f"arn:aws:ec2:eu-west-1:123456789012:instance/{uuid.uuid4()}",
        "policy": policy,
        "tags": {"Name": f"web-{number}", "Owner": "platform"},
        "ports": [number, 443, 8443],
        "enabled": True,
    }
    instance = {"schema_version": 1, "attributes": attributes, "sensitive_attributes": []}
    return {
        "mode": "managed",
        "type": "aws_instance",
        "name": f"web{number}",
        "instances": [instance],
    }


def incompressible(size: int) -> bytes:
    """A state that OpenTofu encrypted itself."""
    sealed = base64.b64encode(os.urandom(size * 3 // 4)).decode()
    document = {"serial": FIRST_SERIAL, "lineage": LINEAGE, "encrypted_data": sealed}
    return json.dumps(document).encode()


def serial_at(body: bytes) -> int:
    """The offset of the digits of the serial."""
    return body.index(str(FIRST_SERIAL).encode())
