"""A plan: what a configuration says, and what would be run; and what came of it. Reports read this and nothing else."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from adapters.contract import Device

Word = Literal["kept", "shrunk", "swapped", "no effect on the step", "not covered", "unknown to this release"]
"""What becomes of a key."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class KeyRecord(_Strict):
    """What becomes of one key: a line of the ledger."""

    key: str
    value: str
    """Printable, without secrets."""
    source: str
    word: Word
    to: str | None = None
    """What it is shrunk to, or swapped for."""
    why: str | None = None


class PartRecord(_Strict):
    """One thing that is decided of a step."""

    what: str
    configured: str
    by: str
    recovered: str | None = None
    """As the recorded steps have it; None where nothing was run, or where it cannot be told."""
    differs: bool = False
    """Whether a finding says that what was recovered is another than what is configured."""


class RateRecord(_Strict):
    """A learning rate."""

    at: str
    rate: float


class Plan(_Strict):
    """All of it."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    family: str
    started_by: str
    """What the configuration or the command line starts."""
    captured: str | None = None
    """What was run to come by that, a sentence; None where nothing was."""
    release: str | None
    """Whose options it is held against; None where no table has them."""
    asked: str | None
    """The release that is pinned; None where nobody said one, so that it is assumed."""
    pinned_in: str | None = None
    """What pins it: what --versions names, or a file of the repository that the configuration lies in."""
    below: str | None = None
    """DeepSpeed's release, where the configuration goes with one."""
    ledger: list[KeyRecord]
    step: list[PartRecord]
    rates: list[RateRecord]
    known: list[str] = Field(default_factory=list)
    """What is known upstream of the releases that are pinned, and would show with this configuration."""
    odd: list[str]
    """What nobody may have meant."""
    refused: list[str]
    """Why the framework would not start."""
    not_covered: list[str]
    missing: list[str]
    """Files that it names and that were not given."""
    run: list[str]
    """What would be run, a line each."""

    @property
    def uncovered(self) -> int:
        """How many things of it nobody checks: keys, parts of the step, and files that were not given."""
        keys = sum(row.word == "not covered" for row in self.ledger)
        return keys + len(self.not_covered) + len(self.missing)


Outcome = Literal["pass", "fail", "unknown"]


class FindingRecord(_Strict):
    """One thing that is not as the configuration has it."""

    code: str
    message: str
    run: str
    """Name of the run that it was seen in."""


class CauseRecord(_Strict):
    """Why."""

    cause: str
    """A key of `harness.verdicts.findings.CAUSES`."""
    says: str
    evidence: str | None = None
    upstream: str | None = None
    """Where it is known to come from."""
    remedy: str | None = None


class RunRecord(_Strict):
    """A small run."""

    name: str
    says: str
    """What it was for."""
    steps: list[int]
    """Optimizer steps that were recorded."""
    sentences: list[str]
    """What they were."""
    unknown: list[str]
    open: list[str]
    """What a recording cannot tell."""
    reason: str | None = None
    """Why it did not come to its end."""


class ShimRecord(_Strict):
    """What was changed in a framework so that it runs, mostly on a CPU."""

    name: str
    reason: str


class Validation(_Strict):
    """What came of a plan."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    plan: Plan
    outcome: Outcome
    not_covered: list[str]
    """What no check has seen, a sentence each."""
    findings: list[FindingRecord]
    causes: list[CauseRecord]
    runs: list[RunRecord]
    model: str | None
    """What ran in the place of the configuration's model."""
    environment: str | None
    """What was built, as `lockstep env build` takes it."""
    packages: dict[str, str]
    device: Device = "cpu"
    shims: list[ShimRecord]
    command: str
    """That does it again."""

    @property
    def where(self) -> str:
        """In words."""
        return "on a CPU" if self.device == "cpu" else "on CUDA devices"

    @property
    def of_configuration(self) -> list[str]:
        """What of `not_covered` this configuration brings. The rest no recording tells, whatever it is of."""
        always = {said for run in self.runs for said in run.open}
        return [said for said in self.not_covered if said not in always]

    @property
    def verdict(self) -> str:
        """In words: never a bare pass while something is not covered."""
        if self.outcome == "pass" and self.not_covered:
            return f"pass, {len(self.not_covered)} not covered"
        return "FAIL" if self.outcome == "fail" else self.outcome
