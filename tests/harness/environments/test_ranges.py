from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from harness.environments.ranges import together
from harness.environments.recipes import shipped


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        ([">=1.10", ">=1.0", ">=0.11.4"], [">=0.11.4"]),
        (["~=0.10.4", "~=0.10.3", ">=0.10.0,<0.10.2", ">=0.10.1,<0.10.3", ">=0.11"], [">=0.10.0"]),
        ([">=2", ">=1,<1.5", ">=1.4,<=1.6"], [">=1,<=1.6", ">=2"]),
        ([">0.7.0,<0.9", ">=0.5,<=0.7.0"], [">=0.5,<0.9"]),
        ([">1", "<1"], ["<1", ">1"]),
        (["==1.0", "==1.2.*", "~=1.2.3"], ["==1.0", ">=1.2,<1.3"]),
        ([">=1,!=1.2", ">=2"], [">=1,!=1.2", ">=2"]),
        (["<2"], ["<2"]),
    ],
    ids=" or ".join,
)
def test_ranges_that_overlap_or_touch_are_one(ranges: list[str], told: list[str]) -> None:
    assert list(together(ranges)) == told


versions = st.lists(st.integers(0, 4), min_size=2, max_size=3).map(lambda parts: ".".join(map(str, parts)))
specifiers = st.builds("{}{}".format, st.sampled_from([">=", ">", "<", "<=", "==", "~="]), versions)
ranges = st.lists(st.lists(specifiers, min_size=1, max_size=2).map(",".join), min_size=1, max_size=6)


@given(ranges, versions)
def test_together_they_cover_the_same_releases(given_: list[str], version: str) -> None:
    def covers(each: tuple[str, ...] | list[str]) -> bool:
        return any(SpecifierSet(text).contains(version) for text in each)

    told = together(given_)
    assert covers(told) == covers(given_)
    assert len(told) <= len(given_)
    assert together(told) == told


@pytest.mark.parametrize("framework", shipped().framework)
def test_the_recipes_of_a_framework_are_told_in_one_range(framework: str) -> None:
    assert len(together([release.versions for release in shipped().framework[framework].releases])) == 1
