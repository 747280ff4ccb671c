"""The end of an epoch, where some steps are not weighed."""

from __future__ import annotations

import scenarios
from harness.judging.diagnosis import epochs


def test_rows_are_those_of_the_step_not_of_the_place() -> None:
    """Steps that were skipped are not among those weighed."""
    scenario = scenarios.get("sft-ragged-epochs")
    carried = epochs.WAYS["misaligned"]
    windows = carried.windows(carried.scenario(scenario))
    assert epochs._gives(carried, scenario, {1: windows[1]})
    assert not epochs._gives(carried, scenario, {0: windows[1]})
    assert not epochs._gives(carried, scenario, {len(windows): windows[0]})
