"""What is known of a cause in a framework's releases, from `upstream.toml`."""

from __future__ import annotations

import functools
import tomllib
from importlib.resources import files

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict

from adapters.contract import EngineOutput, Precision, RowFormat, Scenario, Schedule, Sharding
from harness.traces.text_files import Header


class Known(BaseModel):
    """One entry: where a cause is known to come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    framework: str
    """The package that it is in: the framework itself, or one installed underneath."""
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
    row_format: RowFormat | None = None
    processor: bool | None = None
    schedule: Schedule | None = None
    under: tuple[str, ...] | None = None
    """Frameworks that it shows on, for a package underneath."""

    @property
    def sentence(self) -> str:
        return f"known since {self.since}, {self.until}: {self.why}. {' '.join(self.links)}"

    def fits(self, header: Header, cause: str, scenario: Scenario) -> bool:
        version = self._version(header)
        return (
            cause == self.cause
            and version is not None
            and SpecifierSet(self.versions).contains(version, prereleases=True)
            and (self.under is None or header.framework in self.under)
            and (self.sharding is None or scenario.sharding in self.sharding)
            and self.offload in (None, scenario.offload_optimizer)
            and self.engine_output in (None, scenario.engine_output)
            and self.precision in (None, scenario.precision)
            and self.row_format in (None, scenario.row_format)
            and self.processor in (None, scenario.processor)
            and self.schedule in (None, scenario.schedule)
        )

    def _version(self, header: Header) -> Version | None:
        """Of this entry's package, in the run that was recorded; None if it was not there."""
        own = header.framework == self.framework
        try:
            return Version(header.version if own else header.packages.get(self.framework, ""))
        except InvalidVersion:
            return None


@functools.cache
def entries() -> tuple[Known, ...]:
    """All entries of `upstream.toml`."""
    text = files("harness.judging.diagnosis").joinpath("upstream.toml").read_text()
    return tuple(Known.model_validate(entry) for entry in tomllib.loads(text)["known"])


def find(header: Header, cause: str, scenario: Scenario) -> Known | None:
    """The first entry for this cause in what was recorded: the framework, or a package underneath."""
    return next((k for k in entries() if k.fits(header, cause, scenario)), None)
