"""The shapes of a state document of version 4, decoded only as far as somebody looks."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from backend.documents import secrecy
from backend.documents.secrecy import Path
from backend.errors import Conflict

NOTHING = Raw(b"null")
_NONE = Raw(b"[]")

Shape = TypeVar("Shape")


class Unfit(Exception):
    """The document does not have this shape; the message says where."""


class Output(Struct, frozen=True):
    value: Any = None
    sensitive: bool = False


class Instance(Struct):
    attributes: Raw = NOTHING
    attributes_flat: Raw = NOTHING
    sensitive_attributes: Raw = _NONE
    dependencies: Raw = _NONE
    index_key: str | int | float | None = None
    deposed: str = ""
    status: str = ""


class Resource(Struct):
    type: str
    name: str
    mode: str = "managed"
    module: str = ""
    provider: Raw = NOTHING
    instances: list[Raw] = []

    @property
    def is_data(self) -> bool:
        """Whether it is a data source, which is only read."""
        return self.mode == "data"

    @property
    def local(self) -> str:
        """Its address within its module."""
        kind = "data." if self.is_data else ""
        return f"{kind}{self.type}.{self.name}"

    @property
    def address(self) -> str:
        """The address of all its instances together."""
        return f"{self.module}.{self.local}" if self.module else self.local


class Document(Struct):
    version: int | None = None
    outputs: Raw = Raw(b"{}")
    resources: list[Raw] = []
    encrypted_data: Raw | UnsetType = UNSET


class _Decoder(Generic[Shape]):
    """Decodes JSON into one shape. Raises Unfit for JSON of another one."""

    def __init__(self, shape: Any) -> None:
        self._decoder: msgspec.json.Decoder[Shape] = msgspec.json.Decoder(shape)

    def __call__(self, text: bytes | Raw) -> Shape:
        try:
            return self._decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unfit(str(error)) from None
        except RecursionError:
            raise Unfit("it is nested too deeply") from None


_document = _Decoder[Document](Document)
resource = _Decoder[Resource](Resource)
instance = _Decoder[Instance](Instance)
outputs = _Decoder[dict[str, Raw]](dict[str, Raw])
output = _Decoder[Output](Output)
value = _Decoder[Any](Any)


def read(text: bytes) -> Document:
    """Raises Conflict with `state-encrypted` for one that OpenTofu encrypted, and Unfit."""
    found = _document(text)
    if found.encrypted_data is not UNSET:
        raise Conflict(
            "OpenTofu encrypted this state itself: only its own passphrase opens the content.",
            code="state-encrypted",
        )
    if found.version != 4:
        raise Unfit(f"it has the version {found.version}, not 4")
    return found


def key_of(one: Instance) -> str:
    """The key of an instance as in its address: `[0]`, `["blue"]`, or nothing."""
    key = one.index_key
    return "" if key is None else f"[{msgspec.json.encode(key).decode()}]"


def address_of(whole: Resource, one: Instance) -> str:
    """The address of an instance, as the tools write it."""
    deposed = f" (deposed {one.deposed})" if one.deposed else ""
    return f"{whole.address}{key_of(one)}{deposed}"


def marked(one: Instance) -> list[Path]:
    """The paths of the values that the document marks as sensitive."""
    paths = value(one.sensitive_attributes) or ()
    return [secrecy.marked(steps if isinstance(steps, list) else ()) for steps in paths]
