"""Lines of releases, of made-up ones that the package index would tell."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from harness.bisection import releases as lines
from harness.bisection.point import BadLine, Line
from harness.bisection.releases import Span
from harness.environments import recipes
from harness.environments.releases import Release
from harness.environments.request import Request

DEEPSPEED = ("0.14.4", "0.14.5", "0.15.0", "0.15.1", "0.15.2rc1", "0.15.2", "0.16.0", "0.19.8", "0.20.0.dev1")
TRANSFORMERS = ("4.40.0", "4.50.0", "4.57.1", "5.0.0rc1", "5.0.0")


def day(number: int) -> dt.date:
    return dt.date(2024, 1, 1) + dt.timedelta(100 * number)


def told(versions: Sequence[str], yanked: str = "") -> tuple[Release, ...]:
    """Releases that are a hundred days apart."""
    return tuple(Release(version, day(number), version == yanked) for number, version in enumerate(versions))


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Release, ...]]:
    """What the package index tells, by package; any other package would be asked of the network."""
    known = {"deepspeed": told(DEEPSPEED, yanked="0.15.1"), "transformers": told(TRANSFORMERS)}
    monkeypatch.setattr(lines, "releases", lambda package: known[package])
    return known


def labels(line: Line) -> list[str]:
    return [point.label for point in line.points]


def of_deepspeed(**span: object) -> list[str]:
    return labels(lines.of_framework(Request("deepspeed"), Span(**span)))


def test_only_what_a_recipe_covers(index: Mapping[str, object]) -> None:
    assert not recipes.shipped().covers("deepspeed", "0.14.4")
    assert of_deepspeed() == ["0.14.5", "0.15.0", "0.15.1", "0.15.2", "0.16.0", "0.19.8"]


def test_prereleases_if_asked_for(index: Mapping[str, object]) -> None:
    whole = ["0.14.5", "0.15.0", "0.15.1", "0.15.2rc1", "0.15.2", "0.16.0", "0.19.8", "0.20.0.dev1"]
    assert of_deepspeed(prereleases=True) == whole
    assert of_deepspeed(prereleases=True, last="0.15.2") == whole[:5]


def test_a_prerelease_that_is_named_is_there_alone(index: Mapping[str, object]) -> None:
    assert of_deepspeed(first="0.15.2rc1") == ["0.15.2rc1", "0.15.2", "0.16.0", "0.19.8"]
    assert of_deepspeed(first="0.19.8", last="0.20.0.dev1") == ["0.19.8", "0.20.0.dev1"]


@pytest.mark.parametrize("first", [None, "0.15.1", "0.15.1.0", "v0.15.1"])
@pytest.mark.parametrize("last", [None, "0.16.0", "0.16"])
def test_both_ends_are_on_the_line(index: Mapping[str, object], first: str | None, last: str | None) -> None:
    whole = ["0.14.5", "0.15.0", "0.15.1", "0.15.2", "0.16.0", "0.19.8"]
    assert of_deepspeed(first=first, last=last) == whole[2 if first else 0 : 5 if last else 6]


def test_what_a_point_is(index: Mapping[str, object]) -> None:
    line = lines.of_framework(Request("deepspeed", overrides=(("transformers", "4.57.1"),)), Span())
    assert line.of == "deepspeed"
    assert not line.ends_only
    points = {point.label: point for point in line.points}
    assert points["0.15.0"].request == Request("deepspeed", "0.15.0", (("transformers", "4.57.1"),))
    assert points["0.15.0"].date == day(2)
    assert {point.told for point in line.points if point.label != "0.15.1"} == {None}
    assert points["0.15.1"].told == "yanked"


def test_a_series_is_a_minor_release(index: Mapping[str, object]) -> None:
    line = lines.of_framework(Request("deepspeed"), Span())
    assert [point.series for point in line.points] == ["0!0.14", "0!0.15", "0!0.15", "0!0.15", "0!0.16", "0!0.19"]
    assert line.series_ends == (0, 1, 3, 4, 5)


def test_a_framework_that_is_released_in_another_package(index: dict[str, tuple[Release, ...]]) -> None:
    index["torch"] = told(("2.5.0", "2.6.0", "2.13.0"))
    line = lines.of_framework(Request("ddp"), Span())
    assert (line.of, labels(line)) == ("torch", ["2.6.0", "2.13.0"])
    assert {point.request.framework for point in line.points} == {"ddp"}


def refused(request: Request, package: str | None = None, **span: object) -> str:
    asked = Span(**span)
    with pytest.raises(BadLine) as raised:
        lines.of_framework(request, asked) if package is None else lines.underneath(request, package, asked)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("span", "said"),
    [
        ({"first": "0.15.3"}, "deepspeed 0.15.3 is no release that can be run here; nearest: 0.15.2, 0.16.0"),
        ({"last": "1.0"}, "deepspeed 1.0 is no release that can be run here; nearest: 0.20.0.dev1"),
        ({"first": "0.14.4"}, "deepspeed 0.14.4 is no release that can be run here; nearest: 0.14.5"),
        (
            {"first": "0.15.3", "last": "0.15.3"},
            "deepspeed 0.15.3 is no release that can be run here; nearest: 0.15.2,",
        ),
        ({"first": "0.16.0", "last": "0.15.0"}, "--from 0.16.0 is newer than --to 0.15.0; swap them"),
        ({"first": "0.16.0", "last": "0.16.0"}, "has 1 such releases, and a line has at least two; widen --from and"),
        ({"first": "2024-12-01"}, "'2024-12-01' is no version; give one such as 0.18.9"),
        ({"last": "newest\n"}, r"'newest\n' is no version"),
        ({"last": ""}, "'' is no version"),
    ],
    ids=str,
)
def test_ends_that_cannot_be_had(index: Mapping[str, object], span: dict[str, str], said: str) -> None:
    assert said in refused(Request("deepspeed"), **span)


def test_a_framework_of_one_release(index: dict[str, tuple[Release, ...]]) -> None:
    index["deepspeed"] = told(("0.16.0",))
    assert "has 1 such releases" in refused(Request("deepspeed"))
    index["deepspeed"] = told(("0.1.0", "0.2.0"))
    assert "has 0 such releases" in refused(Request("deepspeed"))


# ---- packages underneath

TRL = Request("trl", "1.16.0", (("deepspeed", "0.19.8"), ("numpy", "2.3.0")))


def test_a_package_under_one_release(index: dict[str, tuple[Release, ...]]) -> None:
    index["trl"] = told(("1.15.0", "1.16.0"))
    line = lines.underneath(TRL, "transformers", Span(first="4.50.0"))
    assert line.of == "transformers"
    assert labels(line) == ["4.50.0", "4.57.1", "5.0.0"]
    assert line.points[0].request == Request(
        "trl", "1.16.0", (("deepspeed", "0.19.8"), ("numpy", "2.3.0"), ("transformers", "4.50.0"))
    )


def test_what_was_given_of_the_package_itself_does_not_count(index: dict[str, tuple[Release, ...]]) -> None:
    """`trl==1.16.0,deepspeed==0.19.8 --vary deepspeed`."""
    index["trl"] = told(("1.15.0", "1.16.0"))
    line = lines.underneath(TRL, "deepspeed", Span(first="0.16.0"))
    assert [point.request.overrides for point in line.points] == [
        (("deepspeed", version), ("numpy", "2.3.0")) for version in ("0.16.0", "0.19.8")
    ]


def test_a_line_underneath_begins_a_year_before_the_framework_itself(index: dict[str, tuple[Release, ...]]) -> None:
    index["trl"] = (Release("1.16.0", day(1) + dt.timedelta(365), False),)
    assert labels(lines.underneath(TRL, "transformers", Span())) == ["4.50.0", "4.57.1", "5.0.0"]
    index["trl"] = (Release("1.16.0", day(1) + dt.timedelta(366), False),)
    assert labels(lines.underneath(TRL, "transformers", Span())) == ["4.57.1", "5.0.0"]
    assert labels(lines.underneath(TRL, "transformers", Span(first="4.40"))) == ["4.40.0", *labels(
        lines.underneath(TRL, "transformers", Span(first="4.50.0")))]  # fmt: skip


def test_without_dates_a_line_underneath_has_all_of_it(index: dict[str, tuple[Release, ...]]) -> None:
    index["trl"] = (Release("1.16.0", None, False),)
    assert labels(lines.underneath(TRL, "transformers", Span())) == ["4.40.0", "4.50.0", "4.57.1", "5.0.0"]
    index["trl"] = (Release("1.16.0", day(9), False),)
    index["transformers"] = tuple(Release(version, None, False) for version in TRANSFORMERS)
    assert labels(lines.underneath(TRL, "transformers", Span())) == ["4.40.0", "4.50.0", "4.57.1", "5.0.0"]


def test_a_framework_underneath_begins_with_its_oldest_recipe(index: dict[str, tuple[Release, ...]]) -> None:
    """However old it is: what is known of DeepSpeed's releases begins there, and so does what can be run."""
    index["trl"] = (Release("1.16.0", day(30), False),)
    assert labels(lines.underneath(TRL, "deepspeed", Span()))[0] == recipes.shipped().framework["deepspeed"].oldest


def test_an_end_before_the_year_says_how_to_get_there(index: dict[str, tuple[Release, ...]]) -> None:
    """`--to 4.40.0` is a release that exists; only the line would begin after it."""
    index["trl"] = (Release("1.16.0", day(1) + dt.timedelta(366), False),)
    said = refused(TRL, "transformers", last="4.40.0")
    assert said == "transformers has 0 such releases, and a line has at least two; widen --from and --to"


def test_the_framework_itself_is_not_underneath(index: Mapping[str, object]) -> None:
    said = refused(TRL, "trl")
    assert said == "trl is the framework itself; leave out --vary, and bisect trl"
    assert refused(Request("ddp", "2.13.0"), "torch") == (
        "torch is the framework itself; leave out --vary, and bisect ddp"
    )


versions = st.builds(
    "{}.{}.{}{}".format, st.integers(0, 1), st.integers(0, 30), st.integers(0, 3), st.sampled_from(["", "", "rc1"])
)


@given(st.sets(versions, min_size=1), st.data())
def test_a_line_is_in_order_and_within_its_span(found: set[str], data: st.DataObject) -> None:
    known = sorted(found, key=Version)
    ends = st.none() | st.sampled_from(known)
    span = Span(data.draw(ends), data.draw(ends), data.draw(st.booleans()))
    first, last = (None if end is None else Version(end) for end in (span.first, span.last))
    fit = [v for v in map(Version, known) if (first is None or first <= v) and (last is None or v <= last)]
    wanted = [str(v) for v in fit if span.prereleases or not v.is_prerelease or v in (first, last)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "releases", lambda package: told(known) if package == "einops" else ())
        if first and last and first > last:
            assert "swap them" in refused(TRL, "einops", first=span.first, last=span.last)
        elif len(wanted) < 2:
            assert "at least two" in refused(TRL, "einops", **vars(span))
        else:
            assert labels(lines.underneath(TRL, "einops", span)) == wanted
