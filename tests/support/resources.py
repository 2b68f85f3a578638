"""State documents with resources, as terraform writes them."""

from __future__ import annotations

import json
from typing import Any

PROVIDER = 'provider["registry.terraform.io/hashicorp/aws"]'


def resource(
    name: str,
    /,
    *needs: str,
    type: str = "aws_instance",  # noqa: A002 as the document calls it
    module: str = "",
    keys: tuple[str | int, ...] = (),
    data: bool = False,
    **attributes: Any,
) -> dict[str, Any]:
    """One resource, with an instance for each of the keys. `sensitive` names its marked ones."""
    marked = [[{"type": "get_attr", "value": one}] for one in attributes.pop("sensitive", ())]
    instance = {
        "schema_version": 1,
        "attributes": {"id": name, **attributes},
        "sensitive_attributes": marked,
        "dependencies": list(needs),
    }
    made: dict[str, Any] = {"mode": "data" if data else "managed", "type": type, "name": name}
    if module:
        made["module"] = module
    instances = [instance | {"index_key": key} for key in keys] or [instance]
    return made | {"provider": PROVIDER, "instances": instances}


def document(
    *resources: dict[str, Any], serial: int = 1, lineage: str = "l", **outputs: Any
) -> bytes:
    """A state with these resources and outputs. An output that is a dict is as it is written."""
    written = {
        name: value if isinstance(value, dict) else {"value": value, "type": "string"}
        for name, value in outputs.items()
    }
    heading = {"version": 4, "terraform_version": "1.11.4", "serial": serial, "lineage": lineage}
    return json.dumps(heading | {"outputs": written, "resources": [*resources]}).encode()


def large_document(count: int, *, serial: int = 1) -> bytes:
    """A state with so many resources in modules, each of which depends on two earlier ones."""
    made = []
    for number in range(count):
        module = f'module.part["{number % 20}"]' if number % 3 else ""
        needs = [f"aws_instance.r{number // by // 3 * 3}" for by in (2, 3) if number > 3]
        made.append(resource(f"r{number}", *needs, module=module, note=f"number {number}"))
    return document(*made, serial=serial)
