"""What is known of a cause in a framework's releases, from `upstream.toml`."""

from __future__ import annotations

import functools
import tomllib
from importlib.resources import files

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict

from adapters.contract import EngineOutput, Precision, Scenario, Sharding


class Known(BaseModel):
    """One entry: where a cause is known to come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    framework: str
    versions: str
    cause: str
    since: str
    until: str
    why: str
    remedy: str
    links: tuple[str, ...]
    sharding: tuple[Sharding, ...] | None = None
    offload: bool | None = None
    engine_output: EngineOutput | None = None
    precision: Precision | None = None

    @property
    def sentence(self) -> str:
        return f"known since {self.since}, {self.until}: {self.why}. {' '.join(self.links)}"

    def fits(self, framework: str, version: Version, cause: str, scenario: Scenario) -> bool:
        return (
            (framework, cause) == (self.framework, self.cause)
            and SpecifierSet(self.versions).contains(version, prereleases=True)
            and (self.sharding is None or scenario.sharding in self.sharding)
            and self.offload in (None, scenario.offload_optimizer)
            and self.engine_output in (None, scenario.engine_output)
            and self.precision in (None, scenario.precision)
        )


@functools.cache
def entries() -> tuple[Known, ...]:
    """All entries of `upstream.toml`."""
    text = files("harness.diagnosis").joinpath("upstream.toml").read_text()
    return tuple(Known.model_validate(entry) for entry in tomllib.loads(text)["known"])


def find(framework: str, version: str, cause: str, scenario: Scenario) -> Known | None:
    """The first entry for this cause in this release on this scenario."""
    try:
        parsed = Version(version)
    except InvalidVersion:
        return None
    return next((k for k in entries() if k.fits(framework, parsed, cause, scenario)), None)
