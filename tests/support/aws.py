"""Resources of the AWS provider in moto: a real provider without a cloud."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from tests.support.place import Place

PROVIDER = "registry.terraform.io/hashicorp/aws"
LOGIN = {"AWS_ACCESS_KEY_ID": "ann", "AWS_SECRET_ACCESS_KEY": "of-nothing"}
_PREAMBLE = """\
terraform {
  required_providers {
    aws = {
      source = "registry.terraform.io/hashicorp/aws"
    }
  }
}

provider "aws" {
  region                      = "us-east-1"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

variable "prefix" {}
"""


@dataclass
class Cloud:
    """What exists in moto, under the names of one test."""

    url: str
    prefix: str
    mirror: Path  # which has the provider
    _clients: dict[str, Any] = field(default_factory=dict)

    def module(self, resources: str) -> str:
        """The resources with their provider; their names begin with ${var.prefix}."""
        return _PREAMBLE + resources

    def give_to(self, place: Place) -> None:
        """Let runs of the place reach it."""
        place.set_variable("prefix", self.prefix)
        for name, value in (LOGIN | {"AWS_ENDPOINT_URL": self.url}).items():
            place.set_variable(name, value, "environment")

    def parameters(self) -> dict[str, str]:
        """The SSM parameters, by their names without the prefix."""
        found = self._client("ssm").describe_parameters()["Parameters"]
        mine = (one for one in found if one["Name"].startswith(self.prefix))
        return {one["Name"].removeprefix(self.prefix): one.get("Description", "") for one in mine}

    def change_parameter(self, name: str, value: str, description: str, kind: str) -> None:
        self._client("ssm").put_parameter(
            Name=self.prefix + name, Value=value, Description=description, Type=kind, Overwrite=True
        )

    def delete_parameter(self, name: str) -> None:
        self._client("ssm").delete_parameter(Name=self.prefix + name)

    def queues(self) -> list[str]:
        """The names of the SQS queues, without the prefix. To make one takes half a minute."""
        found = self._client("sqs").list_queues(QueueNamePrefix=self.prefix).get("QueueUrls", [])
        return [url.rpartition("/")[2].removeprefix(self.prefix) for url in found]

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name="us-east-1",
                aws_access_key_id=LOGIN["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=LOGIN["AWS_SECRET_ACCESS_KEY"],
            )
        return self._clients[service]
