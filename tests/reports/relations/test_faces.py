"""Relations at a terminal and in Markdown: both runs side by side; whatever a framework wrote commands nothing."""

from __future__ import annotations

import math
from io import StringIO

from harness.commands.output import Console
from harness.relations.record import PairRecord, Relations, SideRecord, SilentRecord, StepRecord
from reports.relations import markdown, terminal, told
from tests.harmless import hidden


def side(name: str, offload: bool, **more: object) -> SideRecord:
    settings = {"sharding.offload_optimizer": offload}
    return SideRecord.model_validate({"scenario": name, "settings": settings, **more})


BROKEN = PairRecord(
    relation="offload",
    framework="deepspeed",
    version="0.18.9",
    base="sft-ragged",
    sides=(
        side("kept", False, verdict="pass", command="lockstep run --scenario kept.toml"),
        side("offloaded", True, verdict="fail", causes=["micro-batch 1 was lost"]),
    ),
    state="broken",
    parted=0,
    steps=[StepRecord(step=0, gradients=(1.0, 0.25), gradient=0.75, ways=(0.5, 0.5), drift=math.inf)],
    worst=["w: 7.50e-01 of its norm"],
    allowed="1e-05 of the gradient",
)
HOLDS = BROKEN.model_copy(update={"state": "holds", "parted": None, "worst": []})
RELATIONS = Relations(
    sentences={"offload": "Offloading changes nothing.", "stage": "Sharding changes nothing."},
    pairs=[
        BROKEN,
        HOLDS,
        HOLDS.model_copy(update={"state": "unknown", "reason": "it crashed", "steps": []}),
        HOLDS.model_copy(update={"relation": "stage", "state": "unsupported", "reason": "it has none", "steps": []}),
        HOLDS.model_copy(update={"version": "0.19.8"}),
    ],
    silent=[SilentRecord(relation="stage", base="other", reason="it cannot")],
)


def shown(relations: Relations) -> str:
    drawn = StringIO()
    terminal.show(relations, Console(file=drawn, width=120, highlight=False, markup=False))
    return drawn.getvalue()


def test_a_terminal_shows_both_runs_of_what_is_broken() -> None:
    text = shown(RELATIONS)
    assert "BROKEN  offload         kept and offloaded (gradient 7.5e-01, way inf)" in text
    assert "they part at step 0; most different there: w: 7.50e-01 of its norm" in text
    assert "sharding.offload_optimizer = false" in text
    assert "fail: micro-batch 1 was lost" in text
    assert "unknown offload         kept and offloaded (it crashed)" in text
    assert "not run: deepspeed==0.18.9, stage: it has none" in text
    assert "not run: stage says nothing of other: it cannot" in text
    assert "5 pairs of runs: 1 BROKEN, 1 unknown, 2 holds, 1 unsupported" in text


def test_a_page_has_the_table_and_every_pair() -> None:
    page = markdown.page(RELATIONS)
    assert "| relation | deepspeed==0.18.9 | deepspeed==0.19.8 |" in page
    assert "| offload | BROKEN (1 of 3) | holds (1) |" in page
    assert "| stage | unsupported |  |" in page
    assert "| step 0: gradient | 1 | 0.25 | 7.50e-01 |" in page
    assert page.index("## BROKEN") < page.index("## unknown") < page.index("## holds") < page.index("## Not run")


def test_tensors_that_one_run_alone_has_are_told() -> None:
    assert told.parted(BROKEN.model_copy(update={"parted": -1})) == "they do not hold the same tensors"


def test_what_a_release_wrote_commands_nothing() -> None:
    evil = "\x1b]0;x\x07 @someone [a](https://x) \u202e"
    sides = tuple(one.model_copy(update={"causes": [evil], "scenario": evil, "command": evil}) for one in BROKEN.sides)
    bad = BROKEN.model_copy(update={"sides": sides, "reason": evil, "worst": [evil], "version": evil})
    relations = RELATIONS.model_copy(update={"pairs": [bad]})
    for text in (shown(relations), markdown.page(relations)):
        assert not hidden(text)
    assert "@someone [a]" not in markdown.page(relations).split("```")[0]


def test_it_is_read_back_as_it_was_written() -> None:
    text = RELATIONS.model_dump_json(by_alias=True, exclude_none=True)
    assert Relations.model_validate_json(text) == RELATIONS
