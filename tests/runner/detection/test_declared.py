"""The variables that a module declares, for who looks at it before it runs."""

from __future__ import annotations

from pathlib import Path

from runner.detection import declared

MODULE = """
variable "size" {
  type        = number
  default     = 3
  description = "How many"
}

variable "networks" {
  type = map(object({
    cidr = string # variable "no" {}
  }))
}

variable "zones" {
  type    = list(string)
  default = [
    "a",
    "b",
  ]
}

variable "password" {
  type      = string
  sensitive = true
}
variable nothing {
  default = null
}
/* variable "in_a_comment" {} */
output "x" { value = "variable \\"in_a_string\\" {}" }
"""


def test_types_defaults_and_places_are_found(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(MODULE)

    found = {one.name: one for one in declared.variables(tmp_path, "terraform")}

    assert list(found) == ["size", "networks", "zones", "password", "nothing"]
    assert found["size"][1:] == ("number", "3", "How many", False, "main.tf", 2)
    assert (found["networks"].type, found["networks"].default) == (
        'map(object({ cidr = string # variable "no" {} }))', None,
    )  # fmt: skip
    assert (found["zones"].type, found["zones"].default) == ("list(string)", "[…]")
    assert (found["password"].default, found["password"].sensitive) == (None, True)
    assert found["nothing"].default == "null"


def test_an_override_file_gives_a_default(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text('variable "size" {\n  type = number\n}\n')
    (tmp_path / "a_override.tf").write_text('variable "size" {\n  default = 1\n}\n')

    (size,) = declared.variables(tmp_path, "terraform")

    assert (size.type, size.default, size.file) == ("number", "1", "main.tf")


def test_json_declares_variables_too(tmp_path: Path) -> None:
    (tmp_path / "main.tf.json").write_text(
        '{"variable": {"a": {"type": "string"}, "b": [{"default": {"x": 1}}], "c": 7}}'
    )

    found = {one.name: one.default for one in declared.variables(tmp_path, "terraform")}

    assert found == {"a": None, "b": '{"x": 1}'}


def test_what_cannot_be_read_declares_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.tf").write_text('variable "ok" {}\nvariable "open" {\n')
    (tmp_path / "b.tf.json").write_text('{"variable": ' + "[" * 100_000)
    (tmp_path / "c.tf").symlink_to("/dev/zero")
    (tmp_path / "d.tf").write_bytes(b'variable "\xff\x1b[31m" {}\n')

    names = [one.name for one in declared.variables(tmp_path, "terraform")]

    assert names == ["ok", "\\udcff\\x1b[31m"]


def test_there_are_not_more_than_people_look_at(tmp_path: Path) -> None:
    many = "".join(f'variable "v{n}" {{}}\n' for n in range(declared.MOST + 10))
    (tmp_path / "main.tf").write_text(many)

    assert len(declared.variables(tmp_path, "terraform")) == declared.MOST


def test_variable_files_set_variables(tmp_path: Path) -> None:
    (tmp_path / "terraform.tfvars").write_text("a = 1\nb = {\n  c = 2\n}\n# d = 1\n")
    (tmp_path / "x.auto.tfvars.json").write_text('{"e": 1}')
    (tmp_path / "other.tfvars").write_text("f = [\n1,\n]\n")
    outside = tmp_path.parent / f"{tmp_path.name}-outside.tfvars"
    outside.write_text("secret = 1\n")
    (tmp_path / "y.auto.tfvars").symlink_to(outside)

    assert declared.names_set(tmp_path, tmp_path, []) == {"a", "b", "e"}
    assert declared.names_set(tmp_path, tmp_path, [tmp_path / "other.tfvars"]) == {
        "a", "b", "e", "f",
    }  # fmt: skip
