"""Two days of one framework and the packages swapped between them; resolver and installer are played."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bisection import dates
from harness.bisection.dates import Days, Swap
from harness.bisection.point import BadLine
from harness.environments import pins
from harness.environments.pins import Lock
from harness.environments.recipes import Recipes
from harness.environments.releases import Release
from harness.environments.request import Request

OLD, NEW = dt.date(2024, 12, 1), dt.date(2025, 6, 1)
TRL = Request("trl", "0.12.2", (("numpy", "2.3.0"),))


@dataclass
class World:
    """What resolves to what on which day, and what the packages of the newer environment need."""

    folder: Path
    locks: dict[dt.date, Lock] = field(default_factory=dict)
    needs: dict[str, Sequence[str]] = field(default_factory=dict)
    asked: list[tuple[str, dt.date | None]] = field(default_factory=list)
    built: list[Request] = field(default_factory=list)

    def resolve(
        self, request: Request, recipes: Recipes, root: Path, note: Callable[[str], None], as_of: dt.date | None
    ) -> Lock:
        assert as_of is not None
        self.asked.append((str(request), as_of))
        return self.locks[as_of]

    def ensure(self, request: Request, root: Path, note: Callable[[str], None]) -> SimpleNamespace:
        """An installed environment, as far as it tells what its packages need."""
        self.built.append(request)
        site = root / "venv" / "lib" / "python3.11" / "site-packages"
        for package, needs in self.needs.items():
            info = site / f"{package.replace('-', '_')}-1.0.dist-info"
            info.mkdir(parents=True)
            lines = [
                "Metadata-Version: 2.1",
                f"Name: {package}",
                "Version: 1.0",
                *map("Requires-Dist: {}".format, needs),
            ]
            (info / "METADATA").write_text("\n".join(lines) + "\n")
        return SimpleNamespace(python=root / "venv" / "bin" / "python")

    def days(self, request: Request = TRL) -> Days:
        return dates.resolve(request, OLD, NEW, self.folder / "envs", self.folder / "pins", print)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.setattr(dates.resolution, "resolve", made.resolve)
    monkeypatch.setattr(dates.build, "ensure", made.ensure)
    return made


def lock(text: str) -> Lock:
    return tuple(sorted(part.replace("=", "==") for part in text.split()))


def two(world: World, older: str, newer: str, **needs: Sequence[str]) -> Days:
    world.locks = {OLD: lock(older), NEW: lock(newer)}
    world.needs = dict(needs)
    return world.days()


def packages(days: Days) -> list[str]:
    return [swap.package for swap in days.swaps]


def test_what_changed_what_came_and_what_went(world: World) -> None:
    days = two(
        world, "trl=0.12.2 accelerate=1.0 rich=13.0 torch=2.13.0", "trl=0.12.2 accelerate=1.7 hf-xet=1.1 torch=2.13.0"
    )
    assert set(days.swaps) == {
        Swap("accelerate", "accelerate==1.0", "accelerate==1.7"),
        Swap("hf-xet", None, "hf-xet==1.1"),
        Swap("rich", "rich==13.0", None),
    }
    assert sorted(map(str, days.swaps)) == [
        "accelerate 1.0 -> 1.7", "hf-xet absent -> 1.1", "rich 13.0 -> absent",
    ]  # fmt: skip
    assert world.asked == [("trl==0.12.2,numpy==2.3.0", OLD), ("trl==0.12.2,numpy==2.3.0", NEW)]


def test_one_package_written_in_two_ways_is_one(world: World) -> None:
    days = two(world, "Ruamel.YAML=0.1 trl=1.0", "ruamel-yaml=0.2 trl=1.0")
    assert days.swaps == (Swap("ruamel-yaml", "Ruamel.YAML==0.1", "ruamel-yaml==0.2"),)


def test_what_others_need_comes_first_and_what_went_last(world: World) -> None:
    days = two(
        world,
        "a=1 b=1 c=1 d=1 gone=1",
        "a=2 b=2 c=2 d=2",
        a=["b>=1", "c; extra == 'all'"],
        b=["d", "not-installed"],
        c=['a; python_version > "3"'],
    )
    assert packages(days) == ["d", "b", "a", "c", "gone"]


def test_the_newer_day_is_built_to_see_who_needs_whom(world: World) -> None:
    two(world, "a=1 b=1 rich=13.0", "a=2 b=2")
    (request,) = world.built
    assert request.pins is not None
    assert pins.read(request.pins) == ("a==2", "b==2")


def test_packages_that_need_each_other_do_not_stop_it(world: World) -> None:
    days = two(world, "a=1 b=1 c=1 old=1", "a=2 b=2 c=2", a=["b"], b=["a"])
    assert packages(days) == ["a", "b", "c", "old"]


def test_a_requirement_that_nobody_can_read_does_not_stop_it(world: World) -> None:
    """Old packages hold some that today's rules forbid, and pip installs them all the same."""
    days = two(world, "a=1 b=1", "a=2 b=2", a=["pytz (>dev)", "b"], b=["x>=1.*.0"])
    assert packages(days) == ["b", "a"]


names = st.sampled_from([f"p{number}" for number in range(9)] + ["other", "else", "third"])


@given(st.dictionaries(names, st.sets(names, max_size=4), max_size=9), st.randoms(use_true_random=False))
def test_the_order_is_the_same_whatever_order_a_set_has(needs: Mapping[str, set[str]], random: Random) -> None:
    """Sets of text are in another order in every process; the same command is to go on where it was stopped."""

    class Shuffled(set[str]):
        def __iter__(self) -> Iterator[str]:
            found = sorted(super().__iter__())
            random.shuffle(found)
            return iter(found)

    swaps = [Swap(f"p{number}", "1", "2") for number in range(9)]
    once = dates._ordered(swaps, {name: Shuffled(of) for name, of in needs.items()})
    again = dates._ordered(swaps, {name: Shuffled(of) for name, of in needs.items()})
    assert once == again
    assert sorted(map(str, once)) == sorted(map(str, swaps))


def test_two_days_that_resolve_to_the_same(world: World) -> None:
    with pytest.raises(BadLine, match=r"\Anothing under trl==0\.12\.2,numpy==2\.3\.0 differs between 2024-12-01 and "):
        two(world, "trl=0.12.2 torch=2.13.0", "trl=0.12.2 torch=2.13.0")
    assert world.built == []


@pytest.mark.parametrize(("first", "last"), [(NEW, OLD), (OLD, OLD)])
def test_days_in_the_wrong_order(world: World, first: dt.date, last: dt.date) -> None:
    with pytest.raises(BadLine, match=rf"\A--from {first} is not before --to {last}; swap them, or give others\Z"):
        dates.resolve(TRL, first, last, world.folder, world.folder, print)
    assert world.asked == []


def test_a_line_swaps_one_package_more_at_each_point(world: World) -> None:
    days = two(world, "a=1 b=1 c=1 gone=1 same=1", "a=2 b=2 c=2 same=1", a=["b"])
    line = dates.line(days, OLD, NEW)
    assert (line.of, line.ends_only) == ("packages, as of two dates", True)
    assert [(p.label, p.told, p.date) for p in line.points] == [
        ("2024-12-01", None, OLD),
        ("01 b", "b 1 -> 2", None),
        ("02 c", "c 1 -> 2", None),
        ("03 a", "a 1 -> 2", None),
        ("2025-06-01", "gone 1 -> absent", NEW),
    ]
    locks = []
    for p in line.points:
        assert p.request.pins is not None
        assert (p.request.framework, p.request.version, p.request.overrides) == ("trl", None, ())
        locks.append(pins.read(p.request.pins))
    assert locks == [
        lock("a=1 b=1 c=1 gone=1 same=1"),
        lock("a=1 b=2 c=1 gone=1 same=1"),
        lock("a=1 b=2 c=2 gone=1 same=1"),
        lock("a=2 b=2 c=2 gone=1 same=1"),
        lock("a=2 b=2 c=2 same=1"),
    ]
    assert len({p.request for p in line.points}) == 5


def test_what_came_is_swapped_in(world: World) -> None:
    days = two(world, "a=1", "a=1 new=2")
    line = dates.line(days, OLD, NEW)
    assert [p.label for p in line.points] == ["2024-12-01", "2025-06-01"]
    point = days.point("alone", days.swaps)
    assert point.request.pins is not None
    assert pins.read(point.request.pins) == ("a==1", "new==2")
    assert point.told == "new absent -> 2"


def test_a_mixture_of_its_own(world: World) -> None:
    days = two(world, "a=1 b=1 c=1", "a=2 b=2")
    point = days.point("alone", days.swaps[1:2])
    assert point.request.pins == world.folder / "pins" / "alone.txt"
    assert pins.read(point.request.pins) == ("a==1", "b==2", "c==1")


def test_what_a_package_needs_comes_with_it_and_what_that_needs(world: World) -> None:
    days = two(world, "a=1 b=1 c=1 d=1 same=1", "a=2 b=2 c=2 d=2 same=1", a=["b", "same"], b=["c"], same=["d"], d=["b"])
    by_name = {swap.package: swap for swap in days.swaps}
    assert packages(days) == ["c", "b", "a", "d"]
    assert days.with_needs([by_name["c"]]) == (by_name["c"],)
    assert days.with_needs([by_name["b"]]) == (by_name["c"], by_name["b"])
    assert days.with_needs([by_name["a"]]) == days.swaps, "d is needed by way of one that stays as it is"


def test_needs_in_a_circle_end(world: World) -> None:
    days = two(world, "a=1 b=1 c=1", "a=2 b=2 c=2", a=["b"], b=["a"])
    assert [swap.package for swap in days.with_needs(days.swaps[:1])] == ["a", "b"]


def released(monkeypatch: pytest.MonkeyPatch, *found: Release) -> None:
    monkeypatch.setattr(dates, "releases", lambda package: found)


def test_without_a_version_the_newest_of_each_day(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    released(
        monkeypatch,
        Release("0.11.0", dt.date(2024, 9, 1), False),  # no recipe covers it
        Release("0.12.2", OLD, False),
        Release("0.13.0", dt.date(2024, 12, 2), False),
        Release("0.18.1", dt.date(2025, 5, 30), False),
        Release("0.18.2", dt.date(2025, 5, 31), True),
        Release("0.19.0rc1", dt.date(2025, 5, 31), False),
        Release("0.19.0", dt.date(2025, 6, 2), False),
        Release("0.20.0", None, False),
    )
    world.locks = {OLD: lock("trl=0.12.2"), NEW: lock("trl=0.18.1")}
    days = world.days(Request("trl"))
    assert world.asked == [("trl==0.12.2", OLD), ("trl==0.18.1", NEW)]
    assert [str(swap) for swap in days.swaps] == ["trl 0.12.2 -> 0.18.1"]


def test_a_day_before_all_releases(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    released(monkeypatch, Release("0.12.2", dt.date(2024, 12, 2), False), Release("0.9.2", OLD, False))
    with pytest.raises(BadLine, match=r"\Atrl had no release by 2024-12-01 that .* recipe for; give a later --from\Z"):
        world.days(Request("trl"))
