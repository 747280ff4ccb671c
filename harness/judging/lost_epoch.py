"""A run that goes on from a checkpoint at the end of an epoch, and ends without having trained the next one."""

from __future__ import annotations

from harness.traces.reader import Trace
from harness.verdicts.findings import Finding

CODE = "inputs.epoch"


def finding(trace: Trace) -> Finding | None:
    """`inputs.epoch`: a run that ended by itself lacks just the steps of the epoch that its checkpoint comes before."""
    scenario = trace.scenario
    first, wanted = scenario.window.resume_after, scenario.window.steps
    if not first or not first <= trace.steps < wanted:
        return None
    epoch, begun, _ = scenario.dealing.window(first)
    lost = sum(scenario.dealing.window(step)[0] == epoch for step in range(first, wanted))
    if begun or wanted - trace.steps != lost:
        return None
    message = (
        f"the run that goes on after step {first - 1}, the last of epoch {epoch - 1}, ended by itself with"
        f" {trace.steps} of {wanted} optimizer steps: none of the {lost} of epoch {epoch} was made"
    )
    return Finding(CODE, message, observed=float(trace.steps), expected=float(wanted), detail={"epoch": epoch})
