"""Archives of providers are unpacked whole, and only those that are what they seem."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from runner.errors import ToolError
from runner.providers.package import Package, unpack


def archive(tmp_path: Path, files: dict[str, bytes], mode: int = 0o100755) -> Path:
    file = tmp_path / "package.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            made.writestr(info, content)
    return file


def test_a_package_is_unpacked_with_programs_that_everybody_may_start_and_nobody_write(
    tmp_path: Path,
) -> None:
    files = {"terraform-provider-x_v1": b"program", "doc/LICENSE": b"text"}
    file = archive(tmp_path, files, 0o100644)

    with file.open("rb") as opened:
        made = unpack(opened, tmp_path / "made", 1000)

    assert (tmp_path / "made" / "doc" / "LICENSE").read_bytes() == b"text"
    program = tmp_path / "made" / "terraform-provider-x_v1"
    assert stat.S_IMODE(program.stat().st_mode) == 0o555
    assert stat.S_IMODE((tmp_path / "made" / "doc" / "LICENSE").stat().st_mode) == 0o444
    assert made.size == len(b"programtext")
    assert made.h1.startswith("h1:")
    assert made.zh.startswith("zh:")


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", "a\\b", "a\nb", "./a"])
def test_a_file_that_would_lie_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    file = archive(tmp_path, {name: b"x"})

    with file.open("rb") as opened, pytest.raises(ToolError) as refused:
        unpack(opened, tmp_path / "made", 1000)

    assert refused.value.code == "provider-package-invalid"


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    file = archive(tmp_path, {"terraform-provider-x": b"/etc/passwd"}, 0o120777)

    with file.open("rb") as opened, pytest.raises(ToolError, match="is a link"):
        unpack(opened, tmp_path / "made", 1000)


def test_an_archive_that_grows_too_large_is_refused(tmp_path: Path) -> None:
    file = archive(tmp_path, {"terraform-provider-x": bytes(10_000)})

    with file.open("rb") as opened, pytest.raises(ToolError, match="too large"):
        unpack(opened, tmp_path / "made", 9_999)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "package.zip"
    file.write_bytes(b"not a zip")

    with file.open("rb") as opened, pytest.raises(ToolError) as refused:
        unpack(opened, tmp_path / "made", 1000)

    assert refused.value.code == "provider-package-invalid"


def test_an_archive_whose_content_is_broken_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "package.zip"
    with zipfile.ZipFile(file, "w") as made:
        content = bytes(range(256)) * 10
        made.writestr("terraform-provider-x", content, zipfile.ZIP_DEFLATED)
    broken = bytearray(file.read_bytes())
    start = 30 + len("terraform-provider-x")  # after the head of the first file
    broken[start : start + 40] = b"\xff" * 40
    file.write_bytes(broken)

    with file.open("rb") as opened, pytest.raises(ToolError) as refused:
        unpack(opened, tmp_path / "made", 10_000)

    assert refused.value.code == "provider-package-invalid"


@pytest.mark.parametrize(
    ("address", "version"),
    [
        ("../../etc/x", "1.0.0"),
        ("example.com/a/b/c", "1.0.0"),
        ("example.com/a/b", "../1.0.0"),
        ("example.com/a/b", "1.0"),
        ("Example.com/a/b", "1.0.0"),
    ],
)
def test_what_is_no_name_of_a_provider_is_no_package(address: str, version: str) -> None:
    with pytest.raises(ValueError, match="not a provider"):
        Package(address, version, "linux_amd64")


def test_the_archive_has_the_name_that_the_tools_give_it() -> None:
    package = Package("example.com:8443/acme/thing", "1.0.0-beta.1", "linux_amd64")

    assert package.archive.name == "terraform-provider-thing_1.0.0-beta.1_linux_amd64.zip"
    assert str(package.path) == "example.com:8443/acme/thing/1.0.0-beta.1/linux_amd64"
