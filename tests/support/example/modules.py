"""What the example runs: a small web shop, without a provider."""

from __future__ import annotations

MAIN = """\
variable "region" {
  type        = string
  default     = "eu-central-1"
  description = "Where everything is made"
}

variable "servers" {
  type    = number
  default = %(servers)d
}

variable "database_password" {
  type      = string
  sensitive = true
  default   = "correct horse battery"
}

module "network" {
  source = "./network"
  region = var.region
  cidr   = "%(cidr)s"
}

module "database" {
  source   = "./database"
  network  = module.network.id
  password = var.database_password
}

module "web" {
  source   = "./web"
  servers  = var.servers
  network  = module.network.id
  database = module.database.address
}

output "address" {
  value       = "https://shop.example.com"
  description = "Where customers go"
}

output "database_password" {
  value     = var.database_password
  sensitive = true
}
"""

NETWORK = """\
variable "region" { type = string }
variable "cidr" { type = string }

resource "terraform_data" "vpc" {
  input = { region = var.region, cidr = var.cidr, dns = true }
}

resource "terraform_data" "subnet" {
  for_each = toset(["a", "b", "c"])
  input    = { vpc = terraform_data.vpc.id, zone = "${var.region}${each.key}" }
}

resource "terraform_data" "gateway" {
  input = { vpc = terraform_data.vpc.id }
}

output "id" {
  value      = terraform_data.vpc.id
  depends_on = [terraform_data.subnet]
}
"""

DATABASE = """\
variable "network" { type = string }

variable "password" {
  type      = string
  sensitive = true
}

resource "terraform_data" "instance" {
  input            = { engine = "postgres", size = "large", network = var.network, password = var.password }
  triggers_replace = [var.network]
}

output "address" { value = terraform_data.instance.id }
"""

WEB = """\
variable "servers" { type = number }
variable "network" { type = string }
variable "database" { type = string }

resource "terraform_data" "server" {
  count = var.servers
  input = { network = var.network, database = var.database, name = "web-${count.index}" }
}

resource "terraform_data" "balancer" {
  input = { servers = terraform_data.server[*].id, health = "/healthz" }
}
"""

BROKEN = """\
resource "terraform_data" "certificate" {
  input = file("${path.module}/certificate.pem")
}
"""

SLOW = """\
resource "terraform_data" "migration" {
  provisioner "local-exec" {
    command = "for table in customers orders invoices payments; do echo migrating $table; sleep 150; done"
  }
}
"""


def shop(servers: int = 3, cidr: str = "10.0.0.0/16", more: str = "") -> dict[str, str]:
    """The files of the shop; `more` is added to its root module."""
    return {
        "main.tf": MAIN % {"servers": servers, "cidr": cidr} + more,
        "network/main.tf": NETWORK,
        "database/main.tf": DATABASE,
        "web/main.tf": WEB,
    }
