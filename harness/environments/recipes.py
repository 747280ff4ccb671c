"""Recipes: what to install for each release of a framework, read from `recipes.toml`."""

from __future__ import annotations

import datetime as dt
from functools import cache
from pathlib import Path
from typing import Annotated

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from harness import tables
from harness.environments.ranges import together

FILE = Path(__file__).with_name("recipes.toml")


class BadRecipe(Exception):
    """A recipe file cannot be read; the message names the file, the field and what is wrong with it."""


class NoRecipe(Exception):
    """No recipe covers what was asked for; the message says what is covered."""


def _version(text: str) -> str:
    try:
        return str(Version(text))
    except InvalidVersion:
        raise ValueError(f"{text!r} is not a version") from None


def _specifier(text: str) -> str:
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        raise ValueError(f"{text!r} is not a version range such as '>=0.14.5,<0.19'") from None
    return text


def _requirement(text: str) -> str:
    try:
        Requirement(text.replace("{version}", "0"))
    except InvalidRequirement:
        raise ValueError(f"{text!r} is not a requirement such as 'numpy<2' or 'trl=={{version}}'") from None
    return text


VersionText = Annotated[str, AfterValidator(_version)]
RangeText = Annotated[str, AfterValidator(_specifier)]
RequirementText = Annotated[str, AfterValidator(_requirement)]

_STRICT = ConfigDict(frozen=True, extra="forbid")


class Release(BaseModel):
    """How one range of a framework's releases is installed."""

    model_config = _STRICT

    versions: RangeText
    """PEP 440 range that this entry covers; the first entry that fits is taken.

    By PEP 440 `<2` leaves out 2.0rc1 and so does `>=2`; write `>=2.0.dev0` to have it.
    """
    adapter: str
    """Module that drives these releases, such as `adapters.trl_sft`."""
    packages: tuple[RequirementText, ...] = ()
    """Installed with their dependencies; `{version}` stands for the framework's version."""
    no_deps: tuple[RequirementText, ...] = ()
    """Installed without their dependencies, after `packages`."""
    exclude_newer: dt.date | None = None
    """Resolve as of this day, and take `Recipes.pins`, instead of as of the day of the release itself."""
    why: str | None = None
    """The reason for a day of its own; there is none without the other."""
    exempt: tuple[str, ...] = ()
    """Packages that no day holds for, beside those of the whole file."""
    variables: dict[str, str] = Field(default_factory=dict)
    """Environment variables of every process in this environment."""
    cpu_variables: dict[str, str] = Field(default_factory=dict)
    """Environment variables of processes that run a scenario on the CPU."""

    @model_validator(mode="after")
    def _own_day_has_a_reason(self) -> Release:
        if self.exclude_newer is not None and not (self.why or "").strip():
            raise ValueError(
                f"exclude_newer = {self.exclude_newer} needs a reason, in `why`: without one, a release is resolved as"
                " of its own day"
            )
        if self.exclude_newer is None and self.why is not None:
            raise ValueError("`why` is the reason for an exclude_newer, and there is none")
        return self

    def covers(self, version: str) -> bool:
        return SpecifierSet(self.versions).contains(version, prereleases=True)


class Framework(BaseModel):
    """All that is known of one framework."""

    model_config = _STRICT

    newest: VersionText
    """The release taken when the user names none."""
    package: str | None = None
    """The distribution whose version is the framework's; None where it has the framework's name."""
    source: str | None = None
    """The URL of the repository that it is developed in."""
    family: str | None = None
    """Frameworks that share their training loop, and so have one vote together; None for one that stands alone."""
    packages: tuple[RequirementText, ...] = ()
    """What every release gets beside its own packages."""
    variables: dict[str, str] = Field(default_factory=dict)
    """Environment variables of every release beside its own."""
    cpu_variables: dict[str, str] = Field(default_factory=dict)
    """The same for processes that run a scenario on the CPU."""
    releases: tuple[Release, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _newest_is_covered(self) -> Framework:
        if not any(release.covers(self.newest) for release in self.releases):
            raise ValueError(f"newest = {self.newest!r} is in none of the ranges of its releases")
        return self

    @property
    def oldest(self) -> str:
        """The lowest version that any of its ranges begins with."""
        parts = [part for release in self.releases for part in SpecifierSet(release.versions)]
        return str(min(Version(part.version) for part in parts if part.operator in (">=", ">", "~=", "==")))

    def told(self, without: str) -> str:
        """What its releases cover, and `without` is not in: as few ranges as can say it."""
        ranges = [release.versions for release in self.releases]
        told = together(ranges)
        # A pre-release or post-release where two of them meet is in none, and would seem to be in both together.
        lost = any(SpecifierSet(each).contains(without, prereleases=True) for each in told)
        return " or ".join(ranges if lost else told)

    def completed(self, release: Release) -> Release:
        """One of the releases, with what all of them have."""
        return release.model_copy(
            update={
                "packages": (*release.packages, *self.packages),
                "variables": {**self.variables, **release.variables},
                "cpu_variables": {**self.cpu_variables, **release.cpu_variables},
            }
        )


class Recipes(BaseModel):
    """The whole file."""

    model_config = _STRICT

    exempt: tuple[str, ...] = ()
    """Packages that no day holds for."""
    pins: dict[str, VersionText] = Field(default_factory=dict)
    """Versions of packages that a recipe names without one: of those that no day holds for, and of all of them where a
    recipe has a day of its own."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Repositories of packages underneath, by package; each tags its releases `vVERSION`, as the frameworks do."""
    framework: dict[str, Framework]
    engine: dict[str, Framework] = Field(default_factory=dict)
    """What generates and trains nothing; nobody can ask for one by `--framework`."""

    @property
    def every(self) -> dict[str, Framework]:
        """Frameworks and engines."""
        return {**self.framework, **self.engine}

    def source(self, package: str) -> str | None:
        """The repository that a package is developed in, if these recipes say it."""
        mine = self.every.get(package)
        return mine.source if mine else self.sources.get(package)

    def package(self, framework: str) -> str:
        """The distribution that a framework of these recipes is released in."""
        return self.every[framework].package or framework

    def family(self, framework: str) -> str:
        """What a framework has its vote with; its own name if it stands alone, or is none of these."""
        known = self.framework.get(framework)
        return (known.family if known else None) or framework

    def covers(self, framework: str, version: str) -> bool:
        """Whether there is a recipe for a release of one of these frameworks."""
        return any(release.covers(version) for release in self.framework[framework].releases)

    def release(self, framework: str, version: str) -> Release:
        """The entry for one release. Raises NoRecipe when the framework or the version is not covered."""
        known = self.every.get(framework)
        if known is None:
            raise NoRecipe(f"no recipe for {framework!r}; known frameworks: {', '.join(sorted(self.framework))}")
        for release in known.releases:
            if release.covers(version):
                return known.completed(release)
        raise NoRecipe(f"no recipe for {framework} {version}; recipes cover {framework}{known.told(version)}")


def load(path: Path = FILE) -> Recipes:
    """Read and check a recipe file. Raises BadRecipe."""
    try:
        return tables.read(path, Recipes)
    except tables.BadTable as error:
        raise BadRecipe(str(error)) from None


@cache
def shipped() -> Recipes:
    """The recipes that come with Lockstep."""
    return load()
