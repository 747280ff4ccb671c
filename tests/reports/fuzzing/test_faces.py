"""What a fuzz has found, at a terminal and as an issue; whatever a framework wrote commands nothing."""

from __future__ import annotations

import re
from io import StringIO

from harness.commands.output import Console
from harness.fuzzing.record import CauseRecord, Fuzz, Spent, UnknownRecord
from reports.fuzzing import markdown, terminal
from tests.harmless import hidden

CAUSE = CauseRecord(
    cause="dropped-micro-batches",
    kind="dropped-micro-batches: 1 of 3",
    names=["first and last"],
    scenario={"name": "dropped-micro-batches"},
    settings={"window.accumulation": 3, "sharding.offload_optimizer": True},
    file="dropped-micro-batches.toml",
    cells=40,
    seconds=61.4,
    shrinking=Spent(cells=12, seconds=14.0),
    steps=["without window.ranks = 2: still fails"],
    first={"window.accumulation": 6},
    steady=True,
    summary="micro-batch 1 of 3 never reached the optimizer",
    evidence="1 0 1",
    upstream="known since deepspeed 0.15.2 (PR 6550). https://github.com/deepspeedai/DeepSpeed/pull/6550",
    command="lockstep run --framework deepspeed==0.18.9 --scenario DIR/dropped-micro-batches.toml",
    bisect="lockstep bisect deepspeed --scenario DIR/dropped-micro-batches.toml",
)
FUZZ = Fuzz(
    framework="deepspeed==0.18.9",
    causes=[CAUSE, CAUSE.model_copy(update={"accepted": "as it is", "steady": False, "settings": {}})],
    verdicts={"pass": 70, "fail": 30},
    unknown=[UnknownRecord(reason=f"reason {number}", settings={}) for number in range(7)],
    cells=100,
    seconds=120.0,
    cells_per_minute=50.0,
    coverage={"window.ranks": {"1": 50, "2": 50}, "model.tied_embeddings": {"false": 100, "true": 0}},
    pairs=12,
)


def _shown(fuzz: Fuzz) -> str:
    drawn = StringIO()
    terminal.show(fuzz, Console(file=drawn, width=100, highlight=False, markup=False))
    return drawn.getvalue()


def test_a_terminal_shows_each_cause_and_how_much_was_run() -> None:
    told = _shown(FUZZ)
    assert "new       dropped-micro-batches: 1 of 3" in told
    assert "smallest: window.accumulation = 3, sharding.offload_optimizer = True" in told
    assert f"again: {CAUSE.command}\n" in told
    assert "accepted  dropped-micro-batches: 1 of 3" in told
    assert "smallest: the plain scenario" in told
    assert "not steady" in told
    assert "not judged, 1 x: reason 4" in told
    assert "reason 5" not in told
    assert "and 2 more reasons" in told
    assert "deepspeed==0.18.9: 100 cells in 120 s, 50 a minute (70 pass, 30 fail)" in told
    assert "causes: 2, 1 of them new; 3 of 4 values of 2 fields were run, and 12 pairs" in told


def test_an_issue_has_the_scenario_and_what_shows_it() -> None:
    page = markdown.issue(CAUSE, FUZZ)
    assert page.startswith("## deepspeed==0.18.9: dropped-micro-batches: 1 of 3\n")
    assert "- `window.accumulation = 3`" in page
    assert f"```sh\n{CAUSE.command}\n{CAUSE.bisect}\n```" in page
    assert "<https://github.com/deepspeedai/DeepSpeed/pull/6550>" in page
    assert "once more" not in page
    assert "did not show when" in markdown.issue(FUZZ.causes[1], FUZZ)
    assert "the plainest scenario" in markdown.issue(FUZZ.causes[1], FUZZ)


def test_nothing_in_it_hides_or_calls_anybody() -> None:
    bad = "\x1b[31m\u202e@somebody #12 ::error::"
    cause = CAUSE.model_copy(
        update={"kind": bad, "summary": bad, "evidence": bad, "command": bad, "settings": {bad: bad}}
    )
    fuzz = FUZZ.model_copy(update={"causes": [cause], "unknown": [UnknownRecord(reason=bad, settings={})]})
    for text in (_shown(fuzz), markdown.issue(cause, fuzz)):
        assert not hidden(text)
    assert "@somebody" not in re.sub(r"```.*?```|`[^`]*`", "", markdown.issue(cause, fuzz), flags=re.DOTALL)
