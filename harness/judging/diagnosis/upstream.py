"""What is known upstream of a cause in a framework's releases, from `upstream.toml`."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict, Field

from adapters.contract import (
    Architecture,
    Compute,
    EngineOutput,
    GivenIn,
    Implementation,
    Method,
    Normaliser,
    RowFormat,
    Scenario,
    Strategy,
)
from harness import tables
from harness.environments import recipes
from harness.traces.text_files import Header
from harness.verdicts.findings import Diagnosis

FILE = Path(__file__).with_name("upstream.toml")


class Configured(BaseModel):
    """What a configuration must say for a cause to show, beside what the entry itself asks for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accumulation: int = 1
    """Micro-batches of a rank in a step, at least."""
    ranks: int = 1
    pieces: int = 1
    """Micro-batches of all ranks in a step, at least."""
    trained: tuple[str, ...] | None = None
    """Which tokens (`Trained` of an intent), one of these."""
    decay: bool = False
    """Whether there must be some."""
    on: tuple[tuple[str, ...], ...] = ()
    """Options, of each group one that is on."""
    off: tuple[str, ...] = ()
    """Options none of which is on, by the release's defaults neither."""
    program: str | None = None
    """In the name of what is run."""
    engine: tuple[str, ...] = ()
    """Paths with dots that DeepSpeed's configuration must have."""


class UpstreamCause(BaseModel):
    """One entry: where a cause is known to come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    package: str
    """What it is in: a framework, or a package that is installed underneath."""
    versions: str
    cause: str
    measured: tuple[str, ...] | None = None
    """What is measured of it, one of these (`Diagnosis.measured`): `rank`, `1/GA`, `first and last`. None where the
    cause alone tells."""
    since: str
    until: str
    why: str
    remedy: str
    links: tuple[str, ...]
    sharding: tuple[Strategy, ...] | None = None
    offload: bool | None = None
    engine_output: EngineOutput | None = None
    precision: Compute | None = None
    row_format: RowFormat | None = None
    processor: bool | None = None
    default_system: bool | None = None
    """Whether the chat template has a default system message."""
    trailing_space: bool | None = None
    """Whether the chat template ends in a space."""
    moving_rate: bool | None = None
    """Whether the learning rate differs by step."""
    given_in: GivenIn | None = None
    """Where optimizer and schedule are given."""
    smoothed: bool | None = None
    """Whether labels are smoothed."""
    implementation: Implementation | None = None
    """How the loss is computed."""
    architecture: tuple[Architecture, ...] | None = None
    method: tuple[Method, ...] | None = None
    """What the objective is."""
    normaliser: tuple[Normaliser, ...] | None = None
    """What its sum over tokens is divided by."""
    beside: dict[str, str] = Field(default_factory=dict)
    """Version ranges of other packages that it takes, by package."""
    under: tuple[str, ...] | None = None
    """Families of frameworks that it shows on, for a package underneath (`family` in the recipes)."""
    configured: Configured | None = None
    """When a configuration alone tells that it will show; None where that takes a run."""

    @property
    def sentence(self) -> str:
        return f"known since {self.since}, {self.until}: {self.why}. {' '.join(self.links)}"

    def fits(self, run: Where, diagnosis: Diagnosis) -> bool:
        """Whether this is where a diagnosis of that run comes from."""
        wanted = {self.package: self.versions, **self.beside}
        return (
            diagnosis.cause == self.cause
            and (self.measured is None or not set(self.measured).isdisjoint(diagnosis.measured))
            and all(_within(_version(run, package), versions) for package, versions in wanted.items())
            and (self.under is None or recipes.shipped().family(run.framework) in self.under)
            and all(_holds(getattr(self, name), name, run.told) for name in CONDITIONS)
        )


CONDITIONS = (
    "sharding", "offload", "engine_output", "precision", "row_format", "processor", "default_system", "trailing_space",
    "moving_rate", "given_in", "smoothed", "implementation", "architecture", "method",
    "normaliser",
)  # fmt: skip
"""Fields of an entry that are asked of a run."""


@dataclass(frozen=True)
class Where:
    """What is known of a run."""

    framework: str
    packages: Mapping[str, str]
    """Versions by name, the framework's own among them."""
    told: Mapping[str, object]
    """Of `CONDITIONS`, those that are known."""


def of_scenario(header: Header, scenario: Scenario) -> Where:
    """All of it, of a recorded run."""
    told = {
        "sharding": scenario.sharding.strategy,
        "offload": scenario.sharding.offload_optimizer,
        "engine_output": scenario.loss.engine_output,
        "precision": scenario.precision.compute,
        "row_format": scenario.data.row_format,
        "processor": scenario.tokenizer.processor,
        "default_system": bool(scenario.tokenizer.system),
        "trailing_space": scenario.tokenizer.trailing_space,
        "moving_rate": not scenario.optimizer.schedule.constant,
        "given_in": scenario.optimizer.given_in,
        "smoothed": scenario.loss.label_smoothing > 0,
        "implementation": scenario.loss.implementation,
        "architecture": scenario.model.architecture,
        "method": scenario.objective.method,
        "normaliser": scenario.objective.normaliser,
    }
    return Where(header.framework, {**header.packages, header.framework: header.version}, told)


def _holds(wanted: object, name: str, told: Mapping[str, object]) -> bool:
    """Also where nobody asks; not where nobody knows."""
    if wanted is None:
        return True
    return name in told and (told[name] in wanted if isinstance(wanted, tuple) else told[name] == wanted)


def _version(run: Where, package: str) -> Version | None:
    """Of a package in a run; None if it was not there."""
    held = {canonicalize_name(name): version for name, version in run.packages.items()}
    try:
        return Version(held.get(canonicalize_name(package), ""))
    except InvalidVersion:
        return None


def _within(version: Version | None, versions: str) -> bool:
    return version is not None and SpecifierSet(versions).contains(version, prereleases=True)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    cause: tuple[UpstreamCause, ...] = ()


@functools.cache
def entries() -> tuple[UpstreamCause, ...]:
    """All entries of `upstream.toml`. Raises BadTable."""
    return tables.read(FILE, _File).cause


def find(run: Where, diagnosis: Diagnosis) -> UpstreamCause | None:
    """The first entry that fits a diagnosis of what was recorded: of the framework, or of a package underneath."""
    return next((entry for entry in entries() if entry.fits(run, diagnosis)), None)
