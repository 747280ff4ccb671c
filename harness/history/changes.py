"""What changed over time, in which release and since when: a pure function of what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from packaging.version import InvalidVersion, Version

from harness.history.store import Measurement

PATCH = "+patch."
"""What a release's version goes on with where a patch was put on it."""


@dataclass(frozen=True)
class Cell:
    """One release on one scenario, however often it was measured."""

    measurements: tuple[Measurement, ...]
    """In the order of time; one at least."""

    @property
    def last(self) -> Measurement:
        return self.measurements[-1]

    @property
    def since(self) -> Measurement:
        """The first of those up to the last that all gave what the last gave."""
        found = self.last
        for measurement in reversed(self.measurements):
            if outcome(measurement) != outcome(found):
                break
            found = measurement
        return found


@dataclass(frozen=True)
class Line:
    """Releases of a framework that can be held against each other: with the same packages named underneath, and with
    the same patch or none."""

    framework: str
    underneath: tuple[str, ...]
    """Packages that `--framework` named a version of."""
    patch: str | None
    cells: Mapping[tuple[str, str], Cell]
    """By version and scenario."""

    @cached_property
    def versions(self) -> tuple[str, ...]:
        """The oldest release first."""
        return tuple(sorted({version for version, _ in self.cells}, key=_age))

    @cached_property
    def scenarios(self) -> tuple[str, ...]:
        return tuple(sorted({scenario for _, scenario in self.cells}))


@dataclass(frozen=True)
class Change:
    """Two outcomes of one framework on one scenario that differ: of two neighbouring releases, by what each gave last;
    or of one release, which gave another outcome when it was measured again."""

    before: Measurement
    after: Measurement
    day: str
    """UTC date from which on it could be seen: both had been measured."""

    @property
    def again(self) -> bool:
        """Whether it is one release."""
        return self.before.version == self.after.version


def outcome(measurement: Measurement) -> tuple[str, ...]:
    """What is compared: the verdict, and its causes, or where it has none the codes of its findings."""
    return (measurement.verdict, *(measurement.causes or measurement.findings))


def lines(measurements: Iterable[Measurement]) -> tuple[Line, ...]:
    """Everything that was measured, sorted by framework; measurements may come in any order."""
    found: dict[tuple[str, tuple[str, ...], str | None], dict[tuple[str, str], list[Measurement]]] = {}
    for measurement in sorted(measurements, key=lambda m: m.id):
        cells = found.setdefault(_line(measurement), {})
        cells.setdefault((measurement.version, measurement.scenario), []).append(measurement)
    return tuple(
        Line(framework, underneath, patch, {place: Cell(tuple(own)) for place, own in cells.items()})
        for (framework, underneath, patch), cells in sorted(found.items(), key=lambda item: _place(*item[0]))
    )


def changes(line: Line) -> tuple[Change, ...]:
    """Every change of a line, the latest day first, and of one day that to the newest release. A release without a
    measurement on a scenario is passed over."""
    found = [change for scenario in line.scenarios for change in _changes(line, scenario)]
    return tuple(sorted(found, key=latest, reverse=True))


def latest(change: Change) -> tuple[str, _Age]:
    """By what changes are sorted: the day, and of one day the release."""
    return change.day, _age(change.after.version)


def _changes(line: Line, scenario: str) -> Iterator[Change]:
    cells = [line.cells[version, scenario] for version in line.versions if (version, scenario) in line.cells]
    for cell in cells:
        for before, after in pairwise(cell.measurements):
            if outcome(before) != outcome(after):
                yield Change(before, after, _day(after))
    for one, other in pairwise(cells):
        if outcome(one.last) != outcome(other.last):
            yield Change(one.last, other.last, max(_day(one.since), _day(other.since)))


def _day(measurement: Measurement) -> str:
    return measurement.measured[:10]


def _line(measurement: Measurement) -> tuple[str, tuple[str, ...], str | None]:
    release, *pins = measurement.version.split(",")
    _, _, patch = release.partition(PATCH)
    return measurement.framework, tuple(pin.partition("==")[0] for pin in pins), patch or None


def _place(framework: str, underneath: tuple[str, ...], patch: str | None) -> tuple[str, tuple[str, ...], str]:
    return framework, underneath, patch or ""


_Age = tuple[tuple[bool, Version, str], ...]


def _age(version: str) -> _Age:
    """By what releases are sorted: version by version; what is none comes last."""
    return tuple(_known(part.rpartition("==")[2]) for part in version.split(","))


def _known(text: str) -> tuple[bool, Version, str]:
    try:
        return False, Version(text), text
    except InvalidVersion:
        return True, Version("0"), text
