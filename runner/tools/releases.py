"""The releases of terraform and tofu at their publishers, or at a mirror with the same files."""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runner.errors import ToolError
from runner.job import ToolName
from runner.tools import constraints, downloads, signatures
from runner.tools.constraints import Release, Wanted
from runner.tools.openpgp import Certificate

_INDEX_BYTES, _SUMS_BYTES, _SIGNATURE_BYTES = 64 << 20, 1 << 20, 1 << 16
_SUM = re.compile(r"([0-9a-f]{64}) [ *](\S+)", re.ASCII)
_OPENTOFU = "https://github.com/opentofu/opentofu/releases/download/v{version}"
_HASHICORP = "https://releases.hashicorp.com/terraform/{version}"
_INDEXES: Mapping[ToolName, tuple[str, str]] = {
    "terraform": ("index.json", "https://releases.hashicorp.com/terraform/index.json"),
    "tofu": ("api.json", "https://get.opentofu.org/tofu/api.json"),
}
_FILES: Mapping[ToolName, str] = {"terraform": _HASHICORP, "tofu": _OPENTOFU}
_SIGNATURES: Mapping[ToolName, str] = {"terraform": "sig", "tofu": "gpgsig"}
_MACHINES = {
    **dict.fromkeys(("x86_64", "amd64"), "amd64"),
    **dict.fromkeys(("aarch64", "arm64"), "arm64"),
    **dict.fromkeys(("i386", "i486", "i586", "i686"), "386"),
    **dict.fromkeys(("armv6l", "armv7l", "armv8l"), "arm"),
}


@dataclass(frozen=True)
class Archive:
    """One release for one platform. `sha256` is signed with the key of that fingerprint."""

    url: str
    sha256: str
    signed_by: str


@dataclass(frozen=True)
class Shop:
    """Where releases of a tool come from, and whose signatures count.

    A mirror has the layout NAME/VERSION/FILE, with the publisher's list of releases in NAME.
    """

    name: ToolName
    keys: tuple[Certificate, ...]
    mirror: str = ""

    def find(self, asked: Wanted) -> Release:
        """The newest release that fits. Raises ToolError `tool-not-published`."""
        if asked.exact is not None:
            return asked.exact
        if len(asked.prefix) == 3:
            major, minor, patch = asked.prefix
            return Release(major, minor, patch)
        fitting = [release for release in self._releases() if asked.fits(release)]
        if not fitting:
            raise ToolError(
                "tool-not-published",
                f"There is no {self.name} {asked.text} for {this_platform()} at "
                f"{downloads.shown(self._index)}.",
            )
        return max(fitting, key=lambda release: release.age)

    def archive(self, release: Release) -> Archive:
        """The archive of a release for this machine, once its checksum is known to be signed.

        Raises ToolError with `tool-not-published`, `checksum-missing`, `download-failed`, or what
        signatures.check raises.
        """
        base = self._folder(release)
        sums_name = f"{self.name}_{release}_SHA256SUMS"
        sums = self._must(f"{base}/{sums_name}", _SUMS_BYTES, release)
        signature = self._must(
            f"{base}/{sums_name}.{_SIGNATURES[self.name]}", _SIGNATURE_BYTES, release
        )
        signer = signatures.check(sums, signature, self.keys, sums_name)
        file = f"{self.name}_{release}_{this_platform()}.zip"
        return Archive(f"{base}/{file}", _sum_of(file, sums, sums_name), signer)

    def _must(self, url: str, most_bytes: int, release: Release) -> bytes:
        found = downloads.fetch(url, most_bytes)
        if found is None:
            raise ToolError(
                "tool-not-published",
                f"There is no {self.name} {release}: {downloads.shown(url)} does not exist.",
            )
        return found

    def _folder(self, release: Release) -> str:
        if self.mirror:
            return f"{self.mirror}/{self.name}/{release}"
        return _FILES[self.name].format(version=release)

    @property
    def _index(self) -> str:
        file, official = _INDEXES[self.name]
        return f"{self.mirror}/{self.name}/{file}" if self.mirror else official

    def _releases(self) -> Iterator[Release]:
        """The releases that the list has for this machine."""
        content = downloads.fetch(self._index, _INDEX_BYTES)
        if content is None:
            raise ToolError("tool-not-published", f"{downloads.shown(self._index)} does not exist.")
        try:
            listed = _listed(json.loads(content))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ToolError(
                "download-failed", f"{downloads.shown(self._index)} is no list of releases."
            ) from None
        for version, files in listed.items():
            release = constraints.release(version)
            if release is not None and f"{self.name}_{release}_{this_platform()}.zip" in files:
                yield release


def shop(name: ToolName, mirror: str = "", key: Path | None = None) -> Shop:
    """The publisher of a tool, or a mirror of it. `key`: a file of keys instead of the shipped one.

    Raises ToolError with `mirror-invalid` or `key-invalid`.
    """
    parts = urlsplit(mirror)
    if mirror and (parts.scheme not in ("https", "http") or not parts.hostname):
        raise ToolError(
            "mirror-invalid", f"{downloads.shown(mirror)!r} is no address of a mirror: https://HOST"
        )
    trusted = signatures.shipped(name) if key is None else signatures.keys_in(key)
    return Shop(name, tuple(trusted), mirror.rstrip("/"))


def this_platform() -> str:
    """What this machine is to publishers: linux_amd64. Raises ToolError `platform-unknown`."""
    system = sys.platform.rstrip("0123456789")
    machine = _MACHINES.get(platform.machine().lower())
    if system not in ("linux", "darwin", "freebsd") or machine is None:
        raise ToolError(
            "platform-unknown", f"There are no releases for {system} on {platform.machine()}."
        )
    return f"{system}_{machine}"


def _listed(document: Any) -> dict[str, list[str]]:
    """The files of each version, from the list of either publisher."""
    versions = document["versions"]
    if isinstance(versions, dict):  # HashiCorp's
        return {
            version: [str(build["filename"]) for build in about["builds"]]
            for version, about in versions.items()
        }
    return {str(one["id"]): [str(file) for file in one["files"]] for one in versions}


def _sum_of(file: str, sums: bytes, sums_name: str) -> str:
    """What the signed list says of a file. A list of another version does not name it."""
    found = {
        match[1]
        for line in sums.decode("ascii", "replace").splitlines()
        if (match := _SUM.fullmatch(line.strip())) and match[2] == file
    }
    if len(found) != 1:
        raise ToolError(
            "checksum-missing", f"{sums_name} has no checksum of {file}: nothing was installed."
        )
    return found.pop()
