"""A checkout that is not what its author meant is refused, as far as the template reaches."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import SourceError
from runner.job import Source, SourcePolicy
from runner.sources.source import Checkout, clone
from tests.support.repositories import Repository

POINTER = f"""\
version https://git-lfs.github.com/spec/v1
oid sha256:{"0123456789abcdef" * 4}
size 123456
"""
REACHING = [
    ("live/main.tf", 'module "x" {\n  source = "../shared"\n}\n'),
    ("live/main.tf", 'locals {\n  x = file("${path.module}/../shared/deep/x.bin")\n}\n'),
    ("live/main.tf", 'locals {\n  x = file("${path.root}/../shared/${var.name}.bin")\n}\n'),
    ("live/main.tf", 'locals {\n  x = fileset("${path.module}/../sha${var.red}", "**")\n}\n'),
    ("live/main.tf", 'locals {\n  x = join("/", [path.module, "..", "shared"])\n}\n'),
    ("live/main.tf", 'locals {\n  x = "${lookup(var.m, "a")}/../shared/deep"\n}\n'),
    ("live/main.tf", "locals {\n  x = <<-EOT\n    ../shared/deep/x.bin\n  EOT\n}\n"),
    ("live/prod.auto.tfvars", 'folder = "../shared"\n'),
    ("live/main.tf.json", '{"module": {"x": {"source": "../shared"}}}'),
    ("live/nested/main.tf", 'module "x" {\n  source = "../../shared"\n}\n'),
]
NOT_REACHING = [
    ("live/main.tf", 'module "x" {\n  source = "./nested"\n}\n'),
    ("live/main.tf", '# module "x" { source = "../shared" }\n'),
    ("live/main.tf", "locals {\n  x = flatten([for y in var.z : y...])\n}\n"),
    ("live/main.tf", 'module "x" {\n  source = "../sharednot"\n}\n'),
    ("other/main.tf", 'module "x" {\n  source = "../shared"\n}\n'),
]


def fetched(repository: Repository, work: Path, path: str = "live") -> Checkout:
    policy = SourcePolicy(local_roots=(repository.folder.parent,))
    source = replace(Source(str(repository.folder), policy=policy), path=path)
    return clone(source, work / "source", work=work, deadline=30)


def refusal(repository: Repository, work: Path, path: str = "live") -> SourceError:
    with pytest.raises(SourceError) as refused:
        fetched(repository, work, path)
    assert not (work / "source").exists()
    return refused.value


def module_at(repository: Repository, name: str, where: str) -> Repository:
    """Another repository, as a submodule of this one."""
    other = Repository(repository.folder.parent / name)
    allowed = ("-c", "protocol.file.allow=always")
    repository._git(*allowed, "submodule", "--quiet", "add", str(other.folder), where)
    repository.commit({})
    return other


@pytest.mark.parametrize("name", ["live/x.bin", "live/deep/er/x.bin"])
def test_a_pointer_of_git_lfs_below_the_folder_is_refused_by_name(
    repository: Repository, work: Path, name: str
) -> None:
    repository.commit({"live/main.tf": "", name: POINTER})

    error = refusal(repository, work)

    assert error.code == "lfs-pointers"
    assert name in error.message


def test_the_first_of_many_pointers_is_named_and_the_others_are_counted(
    repository: Repository, work: Path
) -> None:
    repository.commit({f"live/{n}.bin": POINTER for n in "abc"})

    assert "live/a.bin and 2 others are pointers" in refusal(repository, work).message


@pytest.mark.parametrize(("file", "text"), REACHING)
def test_a_pointer_that_the_sources_name_is_refused(
    repository: Repository, work: Path, file: str, text: str
) -> None:
    repository.commit({"live/main.tf": "", "shared/deep/x.bin": POINTER, file: text})

    assert refusal(repository, work).code == "lfs-pointers"


@pytest.mark.parametrize(("file", "text"), NOT_REACHING)
def test_a_pointer_elsewhere_in_the_repository_is_a_warning(
    repository: Repository, work: Path, file: str, text: str
) -> None:
    repository.commit({"live/main.tf": "", "shared/deep/x.bin": POINTER, file: text})

    [warning] = fetched(repository, work).warnings

    assert "shared/deep/x.bin" in warning
    assert "Git LFS" in warning


def test_what_a_module_names_is_reached_through_the_module(
    repository: Repository, work: Path
) -> None:
    repository.commit(
        {
            "live/main.tf": 'module "a" {\n  source = "../modules/a"\n}\n',
            "modules/a/main.tf": 'locals {\n  x = file("${path.module}/../../files/x.bin")\n}\n',
            "files/x.bin": POINTER,
        }
    )

    assert "files/x.bin" in refusal(repository, work).message


def test_what_a_symlink_leads_to_is_reached(repository: Repository, work: Path) -> None:
    repository.commit({"live/main.tf": "", "shared/x.bin": POINTER})
    (repository.folder / "live" / "files").symlink_to("../shared")
    repository.commit({})

    assert "shared/x.bin" in refusal(repository, work).message


def test_a_file_whose_name_is_no_text_is_looked_at(repository: Repository, work: Path) -> None:
    repository.commit({"live/main.tf": ""})
    name = os.fsencode(repository.folder) + b"/live/\xff.bin"
    with open(name, "w") as file:  # noqa: PTH123 a name in bytes
        file.write(POINTER)
    repository.commit({})

    assert refusal(repository, work).code == "lfs-pointers"


def test_a_text_that_only_speaks_of_git_lfs_is_no_pointer(
    repository: Repository, work: Path
) -> None:
    said = "# version https://git-lfs.github.com/spec/v1\n" + "x" * 100
    repository.commit({"live/main.tf": said})

    assert fetched(repository, work).warnings == ()


@pytest.mark.parametrize("where", ["live/sub", "live/deep/sub", "shared", "shared/sub"])
def test_a_submodule_that_the_template_reaches_is_refused_by_name(
    repository: Repository, work: Path, where: str
) -> None:
    reaching = 'module "x" {\n  source = "../shared/sub/inner"\n}\n'
    repository.commit({"live/main.tf": reaching})
    module_at(repository, "other", where)

    error = refusal(repository, work)

    assert error.code == "submodules"
    assert where in error.message


def test_a_submodule_elsewhere_in_the_repository_is_a_warning(
    repository: Repository, work: Path
) -> None:
    repository.commit({"live/main.tf": ""})
    module_at(repository, "other", "docs/theme")

    checkout = fetched(repository, work)

    assert "docs/theme is a submodule" in checkout.warnings[0]
    assert list((checkout.root / "docs" / "theme").iterdir()) == []


@pytest.mark.parametrize("target", ["/etc/passwd", "../../..", ".git/config"])
def test_a_symlink_that_leaves_the_repository_elsewhere_is_a_warning(
    repository: Repository, work: Path, target: str
) -> None:
    repository.commit({"live/main.tf": "", "docs/readme": ""})
    leaving = target if target.startswith("/") else f"../{target}"
    (repository.folder / "docs" / "link").symlink_to(leaving)
    repository.commit({})

    [warning] = fetched(repository, work).warnings

    assert "docs/link is a symlink" in warning


@pytest.mark.parametrize(
    ("link", "named"),
    [
        ("live/link", ""),
        ("live/deep/link", ""),
        ("shared/link", "../shared"),
        ("shared/link", "../shared/link"),
        ("shared/link", "../shared/link/deeper/x"),
        ("shared/link", "../alias/link"),
    ],
)
def test_a_symlink_that_leaves_the_repository_is_refused_where_the_template_reaches_it(
    repository: Repository, work: Path, link: str, named: str
) -> None:
    repository.commit(
        {"live/main.tf": f'locals {{\n  x = "{named}"\n}}\n', "live/deep/x": "", "shared/x": ""}
    )
    (repository.folder / "alias").symlink_to("shared")
    (repository.folder / link).symlink_to("/etc")
    repository.commit({})

    error = refusal(repository, work)

    assert error.code == "symlink-leaves-repository"
    assert link in error.message


@pytest.mark.parametrize("target", ["/etc", ".git"])
def test_a_template_whose_folder_is_behind_a_symlink_out_of_the_repository_is_refused(
    repository: Repository, work: Path, target: str
) -> None:
    (repository.folder / "out").symlink_to(target)
    repository.commit({})

    assert refusal(repository, work, "out").code == "symlink-leaves-repository"


def test_a_folder_behind_a_symlink_inside_of_the_repository_reaches_what_is_there(
    repository: Repository, work: Path
) -> None:
    repository.commit({"real/main.tf": 'locals {\n  x = "../files"\n}\n', "files/x": POINTER})
    (repository.folder / "alias").symlink_to("real")
    repository.commit({})

    assert "files/x" in refusal(repository, work, "alias").message


def test_symlinks_in_a_circle_and_endless_names_harm_nothing(
    repository: Repository, work: Path
) -> None:
    long = "x" * 5000
    repository.commit(
        {"live/main.tf": f'locals {{\n  x = "../{long}"\n  y = "../{long[:300]}"\n}}\n'}
    )
    (repository.folder / "live" / "circle").symlink_to("../live")
    (repository.folder / "live" / "itself").symlink_to("itself")
    repository.commit({})

    assert fetched(repository, work).warnings == ()
