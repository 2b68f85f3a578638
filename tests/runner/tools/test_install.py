"""Installing tools from a publisher, and from somebody who would like to be one."""

from __future__ import annotations

import hashlib
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pysequoia
import pytest

from runner.errors import Stopped, ToolError
from runner.job import ToolName
from runner.tools import install, releases, tool
from runner.tools.constraints import Release
from tests.support.publisher import Publisher, archive, program, signed

Installer = Callable[..., Path]


@pytest.fixture
def tools_dir(tmp_path: Path) -> Path:
    return tmp_path / "data" / "tools"


@pytest.fixture
def put(publisher: Publisher, key_file: Path, tools_dir: Path) -> Installer:
    """Installs what is asked for from the publisher."""

    def do(name: ToolName, asked: str, key: Path = key_file) -> Path:
        shop = releases.shop(name, publisher.url, key)
        return install.install(shop, tool.wanted(asked), tools_dir)[0]

    return do


def refused(tools_dir: Path, do: Callable[[], object]) -> ToolError:
    """The error of an installation that leaves nothing."""
    with pytest.raises(ToolError) as error:
        do()
    assert [path for path in tools_dir.rglob("*") if path.is_file() and path.name != ".lock"] == []
    assert [path.name for path in tools_dir.rglob(".*") if path.name != ".lock"] == []
    return error.value


@pytest.mark.parametrize("name", ["terraform", "tofu"])
def test_an_installed_version_is_found_and_every_user_may_start_it(
    publisher: Publisher, put: Installer, tools_dir: Path, name: ToolName
) -> None:
    publisher.publish(name, "1.9.8")

    made = put(name, "1.9.8")

    assert made == tools_dir / name / "1.9.8" / name
    assert made.read_bytes() == program("1.9.8")
    for path in (made, made.parent, made.parent.parent, tools_dir):
        assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert sorted(path.name for path in made.parent.iterdir()) == [name]
    found = tool.find(name, "1.9.8", tools_dir)
    assert (found.release, found.origin) == (Release(1, 9, 8), "tools folder")


@pytest.mark.parametrize(
    ("asked", "version"),
    [
        ("latest", "1.11.0"),
        ("~> 1.9.0", "1.9.8"),
        ("1.9", "1.9.8"),
        (">= 1.9, < 1.11, != 1.10.0", "1.9.8"),
        ("1.12.0-beta1", "1.12.0-beta1"),
    ],
)
@pytest.mark.parametrize("name", ["terraform", "tofu"])
def test_the_newest_release_that_fits_is_installed(
    publisher: Publisher, put: Installer, name: ToolName, asked: str, version: str
) -> None:
    for one in ("1.9.2", "1.9.8", "1.10.0", "1.11.0", "1.12.0-beta1"):
        publisher.publish(name, one)

    assert put(name, asked).parent.name == version


def test_what_is_there_already_is_not_fetched_again(
    publisher: Publisher, put: Installer, key_file: Path, tools_dir: Path
) -> None:
    publisher.publish("tofu", "1.9.8")
    put("tofu", "1.9.8")
    publisher.asked.clear()

    shop = releases.shop("tofu", publisher.url, key_file)
    again = install.install(shop, tool.wanted("1.9.8"), tools_dir)

    assert again == (tools_dir / "tofu" / "1.9.8" / "tofu", False)
    assert publisher.asked == []


@pytest.mark.parametrize("asked", ["1.9.9", "~> 2.0"])
def test_a_version_that_nobody_published_is_an_error(
    publisher: Publisher, put: Installer, tools_dir: Path, asked: str
) -> None:
    publisher.publish("tofu", "1.9.8")

    error = refused(tools_dir, lambda: put("tofu", asked))

    assert error.code == "tool-not-published"


def test_an_archive_that_was_changed_is_refused(
    publisher: Publisher, put: Installer, tools_dir: Path
) -> None:
    path = publisher.publish("tofu", "1.9.8")
    publisher.files[path] = archive("tofu", b"#!/bin/sh\nrm -rf /\n")

    error = refused(tools_dir, lambda: put("tofu", "1.9.8"))

    assert error.code == "checksum-wrong"


def test_a_list_of_checksums_that_was_changed_is_refused(
    publisher: Publisher, put: Installer, tools_dir: Path
) -> None:
    path = publisher.publish("tofu", "1.9.8")
    evil = archive("tofu", b"#!/bin/sh\nrm -rf /\n")
    sums = publisher.files[publisher.sums("tofu", "1.9.8")]
    right = hashlib.sha256(publisher.files[path]).hexdigest().encode()
    publisher.files[path] = evil
    changed = sums.replace(right, hashlib.sha256(evil).hexdigest().encode())
    publisher.files[publisher.sums("tofu", "1.9.8")] = changed

    error = refused(tools_dir, lambda: put("tofu", "1.9.8"))

    assert error.code == "signature-invalid"
    assert path not in publisher.asked  # nothing is even fetched


def test_a_signature_by_another_key_is_refused_and_both_are_named(
    publisher: Publisher, put: Installer, tools_dir: Path, another_key: pysequoia.Tsk
) -> None:
    publisher.publish("tofu", "1.9.8")
    sums = publisher.files[publisher.sums("tofu", "1.9.8")]
    publisher.files[publisher.signature("tofu", "1.9.8")] = signed(sums, another_key)

    error = refused(tools_dir, lambda: put("tofu", "1.9.8"))

    assert error.code == "signature-by-another-key"
    assert publisher.key.extract_certificate().fingerprint.upper() in error.message


@pytest.mark.parametrize("name", ["terraform", "tofu"])
def test_without_a_key_of_its_own_a_mirror_cannot_sign_for_the_publishers(
    publisher: Publisher, tools_dir: Path, name: ToolName
) -> None:
    publisher.publish(name, "1.9.8")
    shop = releases.shop(name, publisher.url)

    error = refused(tools_dir, lambda: install.install(shop, tool.wanted("1.9.8"), tools_dir))

    assert error.code == "signature-by-another-key"


def test_a_signature_of_another_file_is_refused(
    publisher: Publisher, put: Installer, tools_dir: Path
) -> None:
    publisher.publish("tofu", "1.9.7")
    publisher.publish("tofu", "1.9.8")
    other = publisher.files[publisher.signature("tofu", "1.9.7")]
    publisher.files[publisher.signature("tofu", "1.9.8")] = other

    error = refused(tools_dir, lambda: put("tofu", "1.9.8"))

    assert error.code == "signature-invalid"


def test_an_older_release_under_the_name_of_a_newer_one_is_refused(
    publisher: Publisher, put: Installer, tools_dir: Path
) -> None:
    old = publisher.publish("tofu", "1.5.0")
    new = publisher.publish("tofu", "1.9.8")
    publisher.files[new] = publisher.files[old]
    for of in (publisher.sums, publisher.signature):  # which are signed, and of the publisher
        publisher.files[of("tofu", "1.9.8")] = publisher.files[of("tofu", "1.5.0")]

    error = refused(tools_dir, lambda: put("tofu", "1.9.8"))

    assert error.code == "checksum-missing"


def test_a_program_that_says_another_version_is_refused(
    publisher: Publisher, put: Installer, tools_dir: Path
) -> None:
    publisher.publish("tofu", "1.9.8", archive("tofu", program("1.5.0")))

    error = refused(tools_dir, lambda: put("tofu", "1.9.8"))

    assert error.code == "tool-version-wrong"


@pytest.mark.parametrize("junk", [b"", b"no signature", b"\xc2\x04\x04\x00\x01\x08", b"\xff" * 99])
def test_a_signature_that_is_none_is_refused(
    publisher: Publisher, put: Installer, tools_dir: Path, junk: bytes
) -> None:
    publisher.publish("tofu", "1.9.8")
    publisher.files[publisher.signature("tofu", "1.9.8")] = junk

    error = refused(tools_dir, lambda: put("tofu", "1.9.8"))

    assert error.code == "signature-invalid"


def test_a_release_without_a_signature_is_refused(
    publisher: Publisher, put: Installer, tools_dir: Path
) -> None:
    publisher.publish("tofu", "1.9.8")
    del publisher.files[publisher.signature("tofu", "1.9.8")]

    error = refused(tools_dir, lambda: put("tofu", "1.9.8"))

    assert error.code == "tool-not-published"


def test_a_key_that_has_expired_is_refused_with_what_to_do(
    publisher: Publisher, put: Installer, tools_dir: Path, tmp_path: Path
) -> None:
    publisher.publish("tofu", "1.9.8")
    certificate = publisher.key.extract_certificate()
    past = datetime.now(UTC) + timedelta(seconds=2)
    ended = certificate.set_expiration(past, publisher.key.certifier())
    file = tmp_path / "expired.asc"
    file.write_bytes(bytes(ended))
    while datetime.now(UTC) <= past + timedelta(seconds=1):
        threading.Event().wait(0.1)

    error = refused(tools_dir, lambda: put("tofu", "1.9.8", file))

    assert error.code == "key-expired"
    assert "--key" in error.message


def test_a_key_that_was_revoked_is_refused(
    publisher: Publisher, put: Installer, tools_dir: Path, tmp_path: Path
) -> None:
    publisher.publish("tofu", "1.9.8")
    certificate = publisher.key.extract_certificate()
    revocation = certificate.revoke(publisher.key.certifier())
    packets = list(pysequoia.packet.PacketPile.from_bytes(bytes(certificate)))
    first = bytes(packets[0])
    assert bytes(certificate).startswith(first)
    file = tmp_path / "revoked.asc"
    file.write_bytes(first + bytes(revocation) + bytes(certificate)[len(first) :])

    error = refused(tools_dir, lambda: put("tofu", "1.9.8", file))

    assert error.code == "key-expired"


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!"])
def test_a_file_without_a_key_is_refused(
    publisher: Publisher, put: Installer, tools_dir: Path, tmp_path: Path, content: bytes
) -> None:
    publisher.publish("tofu", "1.9.8")
    file = tmp_path / "none.asc"
    file.write_bytes(content)

    assert refused(tools_dir, lambda: put("tofu", "1.9.8", file)).code == "key-invalid"
    assert refused(tools_dir, lambda: put("tofu", "1", tmp_path / "away")).code == "key-invalid"


def test_only_the_program_is_taken_out_of_an_archive(
    publisher: Publisher, put: Installer, tools_dir: Path, tmp_path: Path
) -> None:
    more = {"../../../escaped": b"x", "/tmp/escaped-tofu": b"x", "sub/tofu": b"x"}
    publisher.publish("tofu", "1.9.8", archive("tofu", program("1.9.8"), **more))

    put("tofu", "1.9.8")

    assert [path.name for path in tmp_path.rglob("*escaped*")] == []
    assert not Path("/tmp/escaped-tofu").exists()
    assert [p.name for p in (tools_dir / "tofu" / "1.9.8").iterdir()] == ["tofu"]


@pytest.mark.parametrize(
    "packed",
    [b"", b"PK no archive", archive("other", b"x"), archive("tofu", program("1.9.8"))[:-30]],
    ids=["empty", "none", "without the program", "cut"],
)
def test_an_archive_that_has_not_the_program_is_refused(
    publisher: Publisher, put: Installer, tools_dir: Path, packed: bytes
) -> None:
    publisher.publish("tofu", "1.9.8", packed)

    error = refused(tools_dir, lambda: put("tofu", "1.9.8"))

    assert error.code == "archive-invalid"


def test_a_program_that_is_too_large_is_not_unpacked(
    publisher: Publisher, put: Installer, tools_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "_PROGRAM_BYTES", 1 << 20)
    publisher.publish("tofu", "1.9.8", archive("tofu", bytes(3 << 20)))

    error = refused(tools_dir, lambda: put("tofu", "1.9.8"))

    assert error.code == "archive-invalid"


def test_a_download_that_ends_too_early_is_refused(
    publisher: Publisher, put: Installer, tools_dir: Path
) -> None:
    publisher.cut.add(publisher.publish("tofu", "1.9.8"))

    error = refused(tools_dir, lambda: put("tofu", "1.9.8"))

    assert error.code == "download-failed"


def test_a_download_that_is_too_large_is_refused(
    publisher: Publisher, put: Installer, tools_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "_ARCHIVE_BYTES", 10)
    publisher.publish("tofu", "1.9.8")

    error = refused(tools_dir, lambda: put("tofu", "1.9.8"))

    assert error.code == "download-failed"


def test_a_redirect_to_http_is_refused(
    publisher: Publisher, put: Installer, tools_dir: Path
) -> None:
    path = publisher.publish("tofu", "1.9.8")
    publisher.redirects[path] = "http://localhost:1/elsewhere.zip"

    error = refused(tools_dir, lambda: put("tofu", "1.9.8"))

    assert error.code == "download-insecure"


def test_a_redirect_at_the_same_mirror_is_followed_and_one_in_a_circle_is_not(
    publisher: Publisher, put: Installer, tools_dir: Path
) -> None:
    path = publisher.publish("tofu", "1.9.8")
    publisher.files["/moved.zip"] = publisher.files.pop(path)
    publisher.redirects[path] = "/circle"
    publisher.redirects["/circle"] = path

    assert refused(tools_dir, lambda: put("tofu", "1.9.8")).code == "download-failed"

    publisher.redirects["/circle"] = f"{publisher.url}/moved.zip"

    assert put("tofu", "1.9.8").exists()


@pytest.mark.parametrize("mirror", ["ftp://host/x", "mirror", "http://", "file:///etc"])
def test_an_address_that_is_no_mirror_is_refused(mirror: str) -> None:
    with pytest.raises(ToolError) as error:
        releases.shop("tofu", mirror)

    assert error.value.code == "mirror-invalid"


def test_a_list_of_releases_that_is_none_is_refused(
    publisher: Publisher, put: Installer, tools_dir: Path
) -> None:
    for content in (b"<html>", b"[]", b'{"versions": 3}', b'{"versions": {"1.9.8": null}}'):
        publisher.files["/terraform/index.json"] = content

        assert refused(tools_dir, lambda: put("terraform", "latest")).code == "download-failed"


def test_a_login_in_the_address_of_a_mirror_is_in_no_message(tools_dir: Path) -> None:
    shop = releases.shop("tofu", "http://ann:hunter2@127.0.0.1:1")

    error = refused(tools_dir, lambda: install.install(shop, tool.wanted("latest"), tools_dir))

    assert error.code == "download-failed"
    assert "hunter2" not in error.message


def test_two_at_once_install_one(publisher: Publisher, put: Installer) -> None:
    path = publisher.publish("tofu", "1.9.8")
    made: list[Path] = []
    together = threading.Barrier(8)

    def one_of_them() -> None:
        together.wait()
        made.append(put("tofu", "1.9.8"))

    threads = [threading.Thread(target=one_of_them) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 8
    assert publisher.asked.count(path) == 1


def test_what_a_killed_installation_left_is_removed_by_the_next_one(
    publisher: Publisher, put: Installer, tools_dir: Path
) -> None:
    publisher.publish("tofu", "1.9.8")
    left = tools_dir / "tofu" / ".1.9.8.part"
    left.mkdir(parents=True)
    (left / "tofu").write_bytes(b"half of it")

    made = put("tofu", "1.9.8")

    assert made.read_bytes() == program("1.9.8")
    assert not left.exists()


def test_a_run_that_is_canceled_leaves_an_installation(
    publisher: Publisher, key_file: Path, tools_dir: Path
) -> None:
    publisher.publish("tofu", "1.9.8")
    shop = releases.shop("tofu", publisher.url, key_file)

    with pytest.raises(Stopped):
        install.install(shop, tool.wanted("1.9.8"), tools_dir, lambda: True)

    assert [path for path in tools_dir.rglob("*") if path.name != ".lock"] == [tools_dir / "tofu"]


def test_a_version_is_removed(publisher: Publisher, put: Installer, tools_dir: Path) -> None:
    publisher.publish("tofu", "1.9.8")
    put("tofu", "1.9.8")

    install.remove("tofu", Release(1, 9, 8), tools_dir)

    with pytest.raises(ToolError) as error:
        install.remove("tofu", Release(1, 9, 8), tools_dir)
    assert error.value.code == "tool-not-installed"
