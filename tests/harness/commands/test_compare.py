"""`lockstep compare`: traces of different lengths."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import cli
from tests.harness import breaking


@pytest.mark.parametrize("steps", [0, 1])
def test_a_trace_that_is_short_of_a_step(
    good: Path, trace: Path, capsys: pytest.CaptureFixture[str], steps: int
) -> None:
    breaking.shorten(trace, steps)
    for pair, longer in (((good, trace), "A"), ((trace, good), "B")):
        assert cli.call(["compare", *map(str, pair)]) == 1
        said = capsys.readouterr().out
        assert f"they are the same up to step {steps}, which only {longer} has" in said
        assert "\ndifferent\n" in said
