"""Whether an intent can be that of a run."""

from __future__ import annotations

from adapters.contract import ROUTED, Scenario
from harness.intent.intent import Drawn, Given, Intent
from harness.intent.objective import Policy, Preferences
from harness.traces import batch
from scenarios import weights


def misfit(intent: Intent, scenario: Scenario, steps: int) -> str | None:
    """Why steps of a run of this scenario cannot be held against an intent; None if they can."""
    if intent.ranks != scenario.window.ranks:
        return f"the intent is of {intent.ranks} ranks, and {scenario.window.ranks} ran"
    ran = scenario.optimizer.kind
    if intent.rule.name != ran:
        return f"the intent is of {intent.rule.name}, and the recorded state is that of {ran}"
    if intent.auxiliary and scenario.model.architecture not in ROUTED:
        return f"the intent has a load-balancing loss, and {scenario.model.architecture} has no router"
    if steps > intent.steps:
        return f"the intent is of {intent.steps} optimizer steps, and {steps} were made"
    rows = len(scenario.data.rows)
    if (beyond := next((r for s in range(intent.steps) for r in intent.rows(s) or () if r >= rows), None)) is not None:
        return f"the intent has a row {beyond} in its windows, and there are {rows}"
    if intent.drawn is not None and (why := _misdrawn(intent.drawn, scenario)) is not None:
        return why
    for tensor in weights.shapes(scenario.model):
        if not any(group.holds(tensor) for group in intent.rule.groups):
            return f"no group of the intent holds the tensor {tensor}"
    return _misgiven(intent, scenario)


def _misdrawn(drawn: Drawn, scenario: Scenario) -> str | None:
    rows = len(scenario.data.rows)
    if drawn.rows != rows:
        return f"the intent has an order of {drawn.rows} rows, and there are {rows}"
    most = 2 * max(rows, scenario.rows_per_step)
    if drawn.epoch > most:
        return f"the intent has epochs of {drawn.epoch} rows, and none of {rows} has more than {most}"
    return None


def _misgiven(intent: Intent, scenario: Scenario) -> str | None:
    given = intent.aggregation
    if isinstance(given, Policy) and len(given.rewards) != len(scenario.data.rows):
        return f"the intent has rewards for {len(given.rewards)} rows, and there are {len(scenario.data.rows)}"
    if isinstance(given, Preferences) and len(scenario.data.rows) % 2:
        return f"the intent is of pairs of rows, and there are {len(scenario.data.rows)}"
    if not isinstance(given, Given):
        return None
    rows = batch.right_rows(scenario)
    if len(given.weights) != len(rows):
        return f"the intent gives weights for {len(given.weights)} rows, and there are {len(rows)}"
    for number, (mine, row) in enumerate(zip(given.weights, rows, strict=True)):
        if len(mine) != len(row.ids):
            return f"the intent gives {len(mine)} weights for row {number}, which has {len(row.ids)} tokens"
    return None
