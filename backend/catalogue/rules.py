"""The rules of a template: what a plan may do, who has to look at it, and when it is applied."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from backend.catalogue import addresses
from backend.catalogue.windows import Window, wrong

Broken = Literal["refuse", "ask"]
_OF_PLANS = ("allow_destroys", "most_destroys", "protected", "if_broken", "approval_types")
_TYPE = re.compile(r"[A-Za-z0-9_*-]{1,255}", re.ASCII)


def _glob(text: str) -> str:
    try:
        addresses.glob(text)
    except ValueError as why:
        raise wrong(f"{why}.") from None
    return text


def _type(text: str) -> str:
    if not _TYPE.fullmatch(text):
        raise wrong(f"{text!r} is no type of resources: write it like aws_iam_* or aws_kms_key.")
    return text


def _known(what: str, given: object, names: Mapping[str, object]) -> None:
    """Raise an error that names the first unknown field, and the one that may be meant."""
    if not isinstance(given, Mapping):
        return
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(str(name)[:100], names, n=1)
            meant = f" Do you mean {near[0]}?" if near else ""
            raise wrong(f"{what} {str(name)[:100]!r}: there are {', '.join(names)}.{meant}")


class IfBroken(BaseModel):
    """What happens to a run whose plan breaks a rule, for each of the rules that can be broken."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)

    allow_destroys: Broken = "refuse"
    most_destroys: Broken = "refuse"
    protected: Broken = "refuse"

    @model_validator(mode="before")
    @classmethod
    def _has_known_names(cls, given: object) -> object:
        _known("No plan can break a rule", given, cls.model_fields)
        return given


class Rules(BaseModel):
    """What a plan may do, who has to look at it, and when it may be applied. Default: no rule."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)

    allow_destroys: bool = Field(
        default=True, description="false: a plan that destroys or replaces a resource breaks this"
    )
    most_destroys: int | None = Field(
        None,
        ge=0,
        le=1_000_000,
        description="A plan that destroys or replaces more resources breaks this",
    )
    protected: list[Annotated[str, AfterValidator(_glob)]] = Field(
        default_factory=list,
        max_length=100,
        description="Globs of addresses that no plan may destroy, replace, forget or move away: "
        "`aws_db_instance.*`, `module.prod.**` (everything in it), `**.aws_kms_key.*` (in every "
        "module). `*` is any text in one name; without an index key all instances are meant",
    )
    approval_types: list[Annotated[str, AfterValidator(_type)]] = Field(
        default_factory=list,
        max_length=100,
        description="Globs of types of resources, like `aws_iam_*`, whose change always needs a "
        "person: `auto_approve` does not apply it",
    )
    second_person: bool = Field(
        default=False,
        description="true: somebody else than who queued the run has to approve it. All tokens of "
        "a user are one person, and a token without a user is none",
    )
    windows: list[Window] = Field(
        default_factory=list,
        max_length=50,
        description="When applies may start; an approved run waits for the next of these windows. "
        "None: always",
    )
    approval_hours: int | None = Field(
        None,
        ge=1,
        le=8760,
        description="A plan that nobody has approved after so many hours is discarded",
    )
    if_broken: Broken | IfBroken = Field(
        "refuse",
        description="What happens to a run whose plan breaks allow_destroys, most_destroys or "
        "protected. refuse: it ends `errored` with `rule-broken`; ask: it waits for somebody with "
        "templates:manage and runs:approve, who may overrule the rule. One word for all of them, "
        "or an object with a word for each",
    )

    @model_validator(mode="before")
    @classmethod
    def _has_known_names(cls, given: object) -> object:
        _known("There is no rule", given, cls.model_fields)
        return given

    def decision(self, rule: Literal["allow_destroys", "most_destroys", "protected"]) -> Broken:
        """What happens to a run whose plan breaks this rule."""
        said = self.if_broken
        return getattr(said, rule) if isinstance(said, IfBroken) else said

    def as_written(self) -> dict[str, Any]:
        """The rules that were given, as a template stores them."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def of_plans(written: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the rules that a plan is judged by when it is made, and never again."""
    return {name: written[name] for name in _OF_PLANS if name in written}


def type_matches(glob: str, kind: str) -> bool:
    """Whether a glob of `approval_types` has this type of resources."""
    return fnmatchcase(kind, glob)
