"""Find the configuration files that a tool would read in a folder, and read them safely."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from runner.errors import DetectionError
from runner.job import ToolName

TERRAFORM_EXTENSIONS = (".tf", ".tf.json")
TOFU_EXTENSIONS = (".tofu", ".tofu.json")
EXTENSIONS = TERRAFORM_EXTENSIONS + TOFU_EXTENSIONS
MAX_BYTES = 10 * 1024 * 1024

Version = tuple[int, int, int]


class Unreadable(Exception):
    """The tool would read the file, but it cannot be read here. The text says why."""


@dataclass(frozen=True)
class ConfigFile:
    name: str
    path: Path
    is_link: bool

    @property
    def is_override(self) -> bool:
        return is_override_name(self.name)

    @property
    def is_json(self) -> bool:
        return self.name.endswith(".json")


def reads_tofu_files(tool: ToolName, version: Version | None) -> bool:
    """Whether the tool reads .tofu files: OpenTofu since 1.8. None is a current version."""
    return tool == "tofu" and (version is None or version >= (1, 8, 0))


def configuration(folder: Path, tool: ToolName, version: Version | None = None) -> list[ConfigFile]:
    """The files that the tool would load from this folder, in its order: by the bytes of the name.

    Raises DetectionError with `folder-unreadable`.
    """
    tofu = reads_tofu_files(tool, version)
    extensions = EXTENSIONS if tofu else TERRAFORM_EXTENSIONS
    try:
        with os.scandir(folder) as entries:
            found = [_config_file(e) for e in entries if _counts(e, extensions)]
    except (OSError, ValueError) as error:  # ValueError: the path contains a NUL
        message = f"{shown(str(folder))} cannot be read: {_reason(error)}"
        raise DetectionError("folder-unreadable", message) from error
    if tofu:
        found = _without_hidden(found)
    return sorted(found, key=lambda file: os.fsencode(file.name))


def read(file: ConfigFile) -> bytes:
    """The bytes of a regular file of at most MAX_BYTES. Raises Unreadable for anything else.

    It never blocks: a FIFO or a device is refused before it is opened, and again afterwards.
    """
    try:
        _require_regular(file.path.stat())
        descriptor = os.open(file.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:  # noqa: PTH123 - it is a descriptor
            _require_regular(os.fstat(descriptor))
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"it cannot be read: {_reason(error)}") from error
    if len(content) > MAX_BYTES:
        raise Unreadable(f"it is larger than {MAX_BYTES} bytes")
    return content


def leaves(folder: Path, file: ConfigFile) -> bool:
    """Whether the file is a link to something outside the folder."""
    if not file.is_link:
        return False
    target = os.path.realpath(file.path)
    return os.path.commonpath([target, os.path.realpath(folder)]) != os.path.realpath(folder)


def extension_of(name: str) -> str | None:
    """The configuration extension at the end of a name, of either tool, or None."""
    return next((e for e in EXTENSIONS if name.endswith(e)), None)


def is_ignored(name: str) -> bool:
    """Whether the tools skip the file: hidden files, and the backups of vim and emacs."""
    return name.startswith(".") or name.endswith("~") or (name[:1] == "#" and name[-1:] == "#")


def is_override_name(name: str) -> bool:
    stem = name.removesuffix(extension_of(name) or "")
    return stem == "override" or stem.endswith("_override")


def shown(name: str) -> str:
    """A name or a value from the repository, safe for a log, a terminal and a database."""
    text = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)[:255]


def _counts(entry: os.DirEntry[str], extensions: tuple[str, ...]) -> bool:
    # A link to a folder counts: both tools try to read it, and fail.
    name = entry.name
    return (
        name.endswith(extensions)
        and not is_ignored(name)
        and not entry.is_dir(follow_symlinks=False)
    )


def _config_file(entry: os.DirEntry[str]) -> ConfigFile:
    return ConfigFile(entry.name, Path(entry.path), entry.is_symlink())


def _without_hidden(files: list[ConfigFile]) -> list[ConfigFile]:
    """Leave out the files that OpenTofu skips: x.tofu hides x.tf, x.tofu.json hides x.tf.json."""
    hidden = {
        file.name.removesuffix(tofu) + terraform
        for file in files
        for tofu, terraform in zip(TOFU_EXTENSIONS, TERRAFORM_EXTENSIONS, strict=True)
        if file.name.endswith(tofu)
    }
    return [file for file in files if file.name not in hidden]


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("it is not a regular file")
    if status.st_size > MAX_BYTES:
        raise Unreadable(f"it is larger than {MAX_BYTES} bytes")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
