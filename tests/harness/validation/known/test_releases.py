"""Tables of options, and which release of them a configuration is held against."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.validation.known import gathering, releases
from harness.validation.known.gathering import REQUESTS
from harness.validation.known.releases import Release

OPTIONS = st.dictionaries(
    st.sampled_from("abcd"), st.none() | st.booleans() | st.integers(0, 1) | st.just(0.5), max_size=4
)


@given(st.lists(OPTIONS, min_size=1, max_size=5))
def test_a_table_holds_each_release(found: list[dict[str, Any]]) -> None:
    """Also where an option goes and comes again, and where 1 becomes true."""
    made = [Release("x", f"0.{number}", options) for number, options in enumerate(found)]
    told, versions = releases.spans(made), [one.version for one in made]
    for one in made:
        again = releases._options(told, versions, one.version)
        assert repr(sorted(again.items())) == repr(sorted(one.options.items()))


@pytest.mark.parametrize("request_", REQUESTS)
def test_every_release_that_is_asked_for_is_in_a_table(request_: str) -> None:
    framework, _, version = request_.partition("==")
    tables = [framework] if framework != "verl" else ["verl/sft_trainer", "verl/sft_trainer_engine"]
    assert version in {one.version for table in tables for one in releases.releases(table)}


@pytest.mark.parametrize(
    ("package", "version", "found"),
    [("trl", "0.18.0", "0.18.1"), ("trl", "0.18.9", "0.18.1"), ("trl", "0.13.0", "0.12.2"), ("trl", "0.1", "0.11.4")],
)
def test_the_nearest(package: str, version: str, found: str) -> None:
    nearest = releases.nearest(package, version)
    assert nearest is not None
    assert nearest.version == found


def test_what_is_in_no_table() -> None:
    assert releases.nearest("other", "1") is None
    assert releases.best("other", {"learning_rate": 1e-5}) is None


def test_defaults_are_those_of_the_release() -> None:
    """DeepSpeed clips by itself since 0.19.3 (PR 8068)."""
    by_version = {one.version: one.options["gradient_clipping"] for one in releases.releases("deepspeed")}
    assert (by_version["0.18.9"], by_version["0.19.8"]) == (0.0, 1.0)


def test_a_table_is_what_the_tool_that_makes_it_writes() -> None:
    for file in releases.FOLDER.glob("*.json"):
        assert gathering.text(releases.releases(file.stem)) == file.read_text()
