"""How long detection takes for many root modules, compared with python-hcl2 on every file.

    python bench/detection.py [--modules N] [--rounds R]

It makes N modules in a temporary folder that are like public ones: most have no backend, a few are
large. Both sides take turns, so that a busy machine slows both. Parsing everything would take
minutes, so python-hcl2 only reads a sample of the modules, and both are compared on that.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from hcl2 import loads
from hcl2.utils import SerializationOptions

from runner.recipes.inspection import inspect_many

SAMPLE = 150
OPTIONS = SerializationOptions(with_comments=False, strip_string_quotes=True)

VERSIONS = """terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}
"""
BACKEND = """
terraform {
  backend "s3" {
    bucket = "states"
    key    = "net/prod.tfstate"
    region = "eu-central-1"
  }
}
"""
RESOURCE = """
# A load balancer's backend, and a cloud-init file: words that detection has to look past.
resource "aws_instance" "node_{n}" {{
  ami           = data.aws_ami.ubuntu.id
  instance_type = var.sizes["node-{n}"]
  count         = var.enabled ? 1 : 0

  tags = merge(local.tags, {{
    Name = "${{local.prefix}}-node-{n}"
    Role = "backend"
  }})

  user_data = <<-EOT
    #!/bin/sh
    echo "node {n} of ${{local.prefix}}" > /etc/motd
  EOT
}}
"""
VARIABLE = """
variable "setting_{n}" {{
  description = "The setting number {n}."
  type        = map(object({{ name = string, size = optional(number, {n}) }}))
  default     = {{}}
}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--modules", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folders = make_modules(Path(root), arguments.modules)
        report(folders, arguments.rounds)


def make_modules(root: Path, count: int) -> list[Path]:
    chance = random.Random(7)  # so that the modules are the same each time
    return [_make_module(root / f"module-{n:05}", chance) for n in range(count)]


def _make_module(folder: Path, chance: random.Random) -> Path:
    folder.mkdir()
    resources = chance.choice([1, 2, 4, 8, 8, 16]) if chance.random() < 0.99 else 300
    texts = {
        "main.tf": "".join(RESOURCE.format(n=n) for n in range(resources)),
        "variables.tf": "".join(VARIABLE.format(n=n) for n in range(chance.randint(1, 12))),
        "versions.tf": VERSIONS + (BACKEND if chance.random() < 0.15 else ""),
        "outputs.tf": 'output "names" {\n  value = local.tags\n}\n',
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def report(folders: Sequence[Path], rounds: int) -> None:
    files = sum(1 for folder in folders for _ in folder.iterdir())
    print(f"{len(folders)} modules, {files} files, {rounds} rounds")
    whole = [timed(lambda: with_ours(folders)) for _ in range(rounds)]
    print(f"ours, all modules:   {spread(whole, 's')}")
    sample = folders[:: max(1, len(folders) // SAMPLE)]
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(timed(lambda: with_ours(sample)))
        theirs.append(timed(lambda: with_full_parse(sample)))
    print(f"ours, sample of {len(sample)}: {spread(ours, 's')}")
    print(f"python-hcl2, sample: {spread(theirs, 's')}")
    ratios = [slow / fast for slow, fast in zip(theirs, ours, strict=True)]
    print(f"ratio on the sample: {spread(ratios, 'x')}")
    agree = with_ours(sample) == with_full_parse(sample)
    print(f"verdicts on the sample: {'the same' if agree else 'DIFFERENT'}")
    sys.exit(0 if agree else 1)


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def spread(values: Sequence[float], unit: str) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"min {low:8.3f}{unit}  median {middle:8.3f}{unit}  max {high:8.3f}{unit}"


def with_ours(folders: Sequence[Path]) -> list[str]:
    return [str(finding.verdict) for finding in inspect_many(folders, "terraform")]


def with_full_parse(folders: Sequence[Path]) -> list[str]:
    return [_parsed_verdict(folder) for folder in folders]


def _parsed_verdict(folder: Path) -> str:
    for path in sorted(folder.glob("*.tf")):
        text = path.read_text(encoding="utf-8")
        document: dict[str, Any] = loads(text, serialization_options=OPTIONS)
        for block in document.get("terraform", []):
            for label in (key for backend in block.get("backend", []) for key in backend):
                return f"backend:{label}"
    return "none"


if __name__ == "__main__":
    main()
