"""A small scenario that both sides of most relations can be made of, and runs of it without an environment."""

from __future__ import annotations

from pathlib import Path

from adapters.contract import Model, Scenario, vary
from adapters.faults import RIGHT, Plan
from harness.relations.pairs import Pair
from harness.verdicts.verdict import CellRecord
from scenarios import bases, text
from tests.faults import simulate

_WORDS = text.vocabulary(64)
_ROWS = text.conversations(_WORDS, [4, 3, 5, 2] * 2, [3, 9, 2, 4, 4, 12, 5, 3], 0)
SMALL: Scenario = vary(
    bases.compose((3, 9, 2, 4), 2, 0),
    name="small",
    model=Model(hidden_size=16, layers=2, heads=2, kv_heads=1, intermediate_size=16, vocab_size=64),
    vocabulary=_WORDS,
    rows=_ROWS,
    accumulation=2,
)
"""2 ranks x 2 micro-batches x 1 row, 2 steps."""


def cell(side: Scenario, folder: Path, plan: Plan = RIGHT) -> CellRecord:
    """The cell of a side that the reference has run, with ranks that are threads. `folder`: of the run."""
    trace = simulate.run(side, plan, folder / side.name)
    place = trace.relative_to(folder).as_posix()
    return CellRecord(framework="torch", version="1", scenario=side.name, verdict="pass", trace=place)


def cells(pair: Pair, folder: Path, plan: Plan = RIGHT) -> tuple[CellRecord, CellRecord]:
    one, other = (cell(side, folder, plan) for side in pair.sides)
    return one, other
