"""What `lockstep objectives --json` prints: what options of frameworks really do, and which make the same update."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.verdicts.verdict import Outcome, Side


class _Record(BaseModel):
    model_config = ConfigDict(populate_by_name=True, ser_json_inf_nan="strings")


class ObjectiveRecord(_Record):
    """A scenario's objective."""

    scenario: str
    seed: int = 0
    published: list[str]
    """What it is, with where that was published: a sentence each."""


class ReleaseRecord(_Record):
    """One release on one objective."""

    framework: str
    version: str
    scenario: str
    options: list[str] = Field(default_factory=list)
    """As the framework's own format has them; none where its options are not written."""
    named_by: str | None = None
    """The release whose names these are."""
    verdict: Outcome
    differs: list[str] = Field(default_factory=list)
    """What the weights are instead, a sentence for each diagnosis."""
    kinds: list[str] = Field(default_factory=list)
    """The same without measured numbers."""
    codes: list[str] = Field(default_factory=list)
    """Findings."""
    reason: str | None = None


class SameRecord(_Record):
    """Releases that made the same update."""

    members: list[str]
    """`FRAMEWORK==VERSION`."""
    side: Side


class AlikeRecord(_Record):
    """One objective over all releases that ran it."""

    scenario: str
    groups: list[SameRecord] = Field(default_factory=list)
    reason: str | None = None
    """Why there are no groups."""


class Objectives(_Record):
    """All of it."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    lockstep: str = ""
    objectives: list[ObjectiveRecord] = Field(default_factory=list)
    releases: list[ReleaseRecord] = Field(default_factory=list)
    alike: list[AlikeRecord] = Field(default_factory=list)
