"""A client at the address of an alias, with its login, inside this process."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse


class AliasLogin:
    def __init__(self, client: FlaskClient, made: dict[str, Any], password: str = "") -> None:
        """`made` is the alias as the API answered; its password unless another one is given."""
        self.client = client
        self.path = "/api/terraform/" + made["address"].rpartition("/")[2]
        self.auth = (made["username"], password or made["password"])

    def send(self, verb: str, path: str = "", **options: Any) -> TestResponse:
        if verb in {"POST", "PUT", "LOCK"}:
            options["headers"] = {"Content-Type": "application/json", **options.get("headers", {})}
        return self.client.open(path or self.path, method=verb, auth=self.auth, **options)
