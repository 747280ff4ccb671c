from __future__ import annotations

import datetime as dt
from pathlib import Path

from harness.environments.releases import Release
from harness.history.identity import identity
from harness.session.folder import RunFolder
from harness.session.plan import Choice
from harness.stock import measure
from harness.stock.measure import Wish
from harness.stock.reigns import Window
from harness.verdicts.verdict import CellRecord

WISH = Wish(
    ("trl", "verl"),
    (Choice("sft-ragged"), Choice("sft-equal")),
    Window(dt.date(2026, 1, 1), dt.date(2026, 1, 31)),
    dt.date(2026, 1, 1),
)

TOLD = {
    "trl": [
        Release("0.10.0", dt.date(2020, 1, 1), False),
        Release("0.28.0", dt.date(2025, 12, 1), False),  # the newest when the window begins
        Release("0.29.0", dt.date(2026, 1, 11), False),
        Release("0.30.0rc1", dt.date(2026, 1, 12), False),
        Release("1.0.0", dt.date(2026, 1, 21), False),
        Release("2.0.0", dt.date(2026, 2, 1), False),  # after the window
    ],
    "verl": [Release("0.4.0", dt.date(2026, 1, 2), False), Release("0.5.0", dt.date(2026, 1, 16), False)],
}


def lines() -> tuple[measure.Line, ...]:
    return measure.lines(WISH, TOLD.__getitem__)


def recorded(home: Path, version: str, *verdicts: str, stale: bool = False, harness: str | None = None) -> None:
    (plan,) = (p for p in measure.due(WISH, lines(), home) if p.requests[0].version == version)
    with RunFolder.claim(measure.folder(home, plan.requests[0])) as folder:
        for place, (choice, outcome) in enumerate(zip(plan.choices, verdicts, strict=False)):
            scenario_hash = "0" * 16 if stale else plan.scenario(choice).hash
            fields = {"framework": "trl", "version": version, "scenario": choice.name, "verdict": outcome}
            deciding = {"scenario_hash": scenario_hash, "harness": harness or identity()}
            folder.record((0, place), CellRecord.model_validate(fields | deciding))
        folder.write(complete=True)


def test_releases_of_a_framework_with_their_days() -> None:
    trl, verl = lines()
    assert [(r.version, days) for r, days in trl.releases] == [("0.28.0", 10), ("0.29.0", 10), ("1.0.0", 11)]
    assert (verl.before, [(r.version, days) for r, days in verl.releases]) == (1, [("0.4.0", 14), ("0.5.0", 16)])


def test_what_is_due_is_the_newest_first_by_turns_and_what_has_a_recipe(tmp_path: Path) -> None:
    plans = measure.due(WISH, lines(), tmp_path)
    assert [str(p.requests[0]) for p in plans] == ["trl==1.0.0", "trl==0.29.0", "verl==0.5.0", "trl==0.28.0"]


def test_what_came_to_a_verdict_is_not_due_again(tmp_path: Path) -> None:
    recorded(tmp_path, "1.0.0", "fail", "pass")
    recorded(tmp_path, "0.29.0", "fail", "unknown")
    recorded(tmp_path, "0.28.0", "pass", "pass", stale=True)  # of scenarios that are others now
    assert [p.requests[0].version for p in measure.due(WISH, lines(), tmp_path)] == ["0.29.0", "0.5.0", "0.28.0"]


def test_what_another_harness_measured_is_due_again(tmp_path: Path) -> None:
    recorded(tmp_path, "1.0.0", "fail", "pass", harness="0.0.1+0123456789abcdef")
    assert "1.0.0" in [p.requests[0].version for p in measure.due(WISH, lines(), tmp_path)]


def test_all_that_is_recorded_is_told(tmp_path: Path) -> None:
    recorded(tmp_path, "1.0.0", "fail", "pass")
    trl, verl = measure.collect(WISH, lines(), tmp_path).frameworks
    assert {v: o.verdict for v, o in trl.releases[-1].outcomes.items()} == {"sft-ragged": "fail", "sft-equal": "pass"}
    assert trl.days(["sft-ragged"]) == {"not measured": 20, "wrong": 11}
    assert verl.days(["sft-ragged"]) == {"no release": 1, "not measured": 30}
    assert [release.covered for release in verl.releases] == [False, True]
