"""Choose a name for the generated file so that the tool reads it, and reads it last."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from runner.detection.config_files import (
    EXTENSIONS,
    TERRAFORM_EXTENSIONS,
    Version,
    extension_of,
    is_ignored,
    is_override_name,
    reads_tofu_files,
    shown,
)
from runner.detection.detect import Verdict
from runner.errors import DetectionError
from runner.job import ToolName

DEFAULT_STEM = "zz_backend_override"
_LAST_CHARACTER = "\U0010ffff"
_MAX_NAME_BYTES = 255


def choose(
    folder: Path, tool: ToolName, version: Version | None, verdict: Verdict, requested: str | None
) -> str:
    """The requested name, if it works. Without one the default name, or the next one that is free.

    Raises DetectionError with `override-name-invalid`, `override-name-taken` or
    `override-would-duplicate`.
    """
    names = [entry.name for entry in folder.iterdir()]
    if requested is None:
        return _own(names, tool, version)
    _require_readable(requested, tool, version)
    _require_free(requested, names)
    if not is_override_name(requested):
        _require_alone(requested, verdict)
    elif verdict.explicit:
        _require_last(requested, names)
    return requested


def taken_message(name: str) -> str:
    return (
        f"The repository already has a file or link named {name}, or one that hides it, and it is "
        "not replaced. Choose another override file name for the template, or none."
    )


def _own(names: list[str], tool: ToolName, version: Version | None) -> str:
    # Nothing hides a .tofu file, while a repository's x_override.tofu hides our x_override.tf.
    extension = ".tofu" if reads_tofu_files(tool, version) else ".tf"
    taken = {_stem(name) for name in names}
    last = max(map(os.fsencode, _rivals(names)), default=b"")
    for stem in _stems():
        name = stem + extension
        if stem not in taken and os.fsencode(name) > last:
            return name
    raise DetectionError(
        "override-name-invalid",
        f"No override file name sorts after {shown(os.fsdecode(last))}, so the generated file "
        "would not be read last. Rename that file.",
    )


def _stems() -> Iterator[str]:
    yield DEFAULT_STEM
    yield from ("z" * count + "_backend_override" for count in range(3, 9))
    yield from ("~" * count + "zz_backend_override" for count in range(1, 9))
    room = (_MAX_NAME_BYTES - len("_backend_override.tofu")) // len(_LAST_CHARACTER.encode())
    yield from (_LAST_CHARACTER * count + "_backend_override" for count in range(1, room + 1))


def _rivals(names: list[str]) -> list[str]:
    """The override files of both tools. Considering one too many does no harm."""
    return [n for n in names if extension_of(n) and is_override_name(n) and not is_ignored(n)]


def _stem(name: str) -> str:
    return name.removesuffix(extension_of(name) or "")


def _require_readable(name: str, tool: ToolName, version: Version | None) -> None:
    extensions = EXTENSIONS if reads_tofu_files(tool, version) else TERRAFORM_EXTENSIONS
    plain = name.isprintable() and "/" not in name and len(os.fsencode(name)) <= _MAX_NAME_BYTES
    if not plain or is_ignored(name) or not name.endswith(extensions):
        raise DetectionError(
            "override-name-invalid",
            f"{shown(name)} cannot be the override file's name: {tool} reads only plain names "
            f"that end in {' or '.join(extensions)}, and skips those that start with a dot.",
        )


def _require_free(name: str, names: list[str]) -> None:
    # A file with the same stem and another extension would hide ours, or be hidden by it.
    if _stem(name) in {_stem(other) for other in names if extension_of(other)}:
        raise DetectionError("override-name-taken", taken_message(name))


def _require_alone(name: str, verdict: Verdict) -> None:
    if verdict.explicit:
        raise DetectionError(
            "override-would-duplicate",
            f"{verdict.where} already configures {verdict}, and {name} is not an override file: "
            "the tool would report a duplicate backend. Choose a name that ends in _override.tf.",
        )


def _require_last(name: str, names: list[str]) -> None:
    later = [other for other in _rivals(names) if os.fsencode(other) > os.fsencode(name)]
    if later:
        raise DetectionError(
            "override-name-invalid",
            f"{shown(max(later, key=os.fsencode))} is read after {name} and would replace it. "
            "Choose a later name, or none.",
        )
