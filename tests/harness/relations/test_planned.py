"""The run that holds both sides: which cells, and files that are read back as the very same scenarios."""

from __future__ import annotations

from pathlib import Path

from harness.environments.request import Request
from harness.relations import planned
from harness.relations.declared import BY_NAME, RELATIONS
from harness.relations.pairs import pairs
from harness.session.plan import Plan
from scenarios import files, get

TORCH, DEEPSPEED = Request("torch", "2.13.0"), Request("deepspeed", "0.19.8")


def test_only_those_run_a_pair_who_may_have_both_sides(tmp_path: Path) -> None:
    found, _ = pairs([BY_NAME["stage"], BY_NAME["checkpointing"]], [get("sft-ragged", 0)])
    plan = planned.planned(Plan((TORCH, DEEPSPEED), ()), found, tmp_path)
    ran = {(request.framework, choice.name) for request, choice in plan.pairs or ()}
    assert {name for framework, name in ran if framework == "torch"} == {
        "sft-ragged",
        "sft-ragged.gradient_checkpointing",
    }
    assert ("deepspeed", "sft-ragged.zero3") in ran
    assert ("deepspeed", "sft-ragged.fsdp") not in ran


def test_every_side_can_be_run_again_by_its_file_or_name(tmp_path: Path) -> None:
    found, _ = pairs(RELATIONS, [get("sft-ragged", 0), get("sft-ragged-packed", 1)])
    planned.write(found, tmp_path)
    for side in {side.hash: side for pair in found for side in pair.sides}.values():
        chosen = planned.choice(side, tmp_path)
        if chosen.file is None:
            assert get(side.name, side.seed) == side
        else:
            assert files.load(Path(chosen.file)) == side
