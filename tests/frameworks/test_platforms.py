"""The newest releases resolve on other platforms as the documentation says, and what is said of sources is so."""

from __future__ import annotations

import re
from importlib.metadata import distributions
from pathlib import Path

import pytest

from harness.commands import platforms as told
from harness.environments import build, platforms
from harness.environments.platforms import Way
from harness.environments.request import Request

pytestmark = [pytest.mark.exhaustive, pytest.mark.frameworks, pytest.mark.timeout(1800)]

PAGE = Path(__file__).parents[2] / "docs" / "platforms.md"

PURE = {Way.source: True, Way.first_use: True, Way.install: False}


def test_every_newest_recipe_resolves_as_the_page_says(monkeypatch: pytest.MonkeyPatch, environments: Path) -> None:
    """On aarch64 and x86-64 with CUDA, and on a CPU; nothing is installed."""
    monkeypatch.setenv("LOCKSTEP_ENVS", str(environments))
    found = told.told([], None)
    page = told.markdown(found)
    assert page == PAGE.read_text(), "see who is right, then: lockstep list platforms --markdown > docs/platforms.md"
    assert all(one.torch for one in found)
    assert all(bool(one.nccl) == platforms.PLATFORMS[one.platform].cuda for one in found)


@pytest.mark.parametrize("framework", ["deepspeed", "llamafactory", "ms-swift"])
def test_what_is_pure_python_was_so_when_it_was_built_here(framework: str, environments: Path) -> None:
    place = build.ensure(Request(framework), environments, print)
    (site,) = (place.python.parent.parent).glob("lib/python*/site-packages")
    seen = 0
    for package in distributions(path=[str(site)]):
        way = platforms.known().get(re.sub(r"[-_.]+", "-", package.name).lower())
        if way is None or way.way not in PURE:
            continue
        compiled = [file for file in package.files or () if file.suffix == ".so"]
        assert (not compiled) is PURE[way.way], package.name
        seen += 1
    assert seen
