"""The tables of options of releases against what those releases say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.environments import build
from harness.environments.request import parse
from harness.validation.known import gathering, releases

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(900)]

CHEAP = "trl==1.16.0"


@pytest.mark.parametrize(
    "request_",
    [pytest.param(one, marks=[] if one == CHEAP else [pytest.mark.exhaustive]) for one in gathering.REQUESTS],
)
def test_a_release_has_the_options_of_its_table(request_: str, environments: Path) -> None:
    environment = build.ensure(parse(request_).resolved(), environments, lambda _: None)
    framework = parse(request_).framework
    own = {name: told for name, told in gathering.asked(environment).items() if name.partition("/")[0] == framework}
    assert own
    for package, told in own.items():
        table = {one.version: one for one in releases.releases(package)}
        assert table[told["version"]].options == told["options"]
        assert table[told["version"]].presets == told.get("presets", {})
