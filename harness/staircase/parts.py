"""What is otherwise, in a session of trainings, than in a run of cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.session.parts import Judged, Parts
from harness.staircase import planned, scored
from harness.staircase.planned import Trainings
from harness.traces import trained
from harness.traces.text_files import UnreadableTrace


def weighing(parts: Parts, trainings: Trainings) -> Parts:
    """For first steps alone: frameworks are not held against each other, for buggy arms are meant to differ."""
    return replace(parts, checkpoint=trainings.writing(), views=lambda *_: [])


def training(parts: Parts, trainings: Trainings) -> Parts:
    """For whole trainings, which are evaluated as soon as their first steps are weighed."""
    model, held_out = trainings.every[0].whole.model, trainings.size.held_out
    steps = {planned.first(one).hash: one.whole.window.steps for one in trainings.every}

    def judge(trace: Path) -> Judged:
        judged = parts.judge(trace)
        scored.score(trace, model, held_out)
        return judged

    def whole(trace: Path, scenario_hash: str) -> bool:
        try:
            scored.read(trace, held_out)
            trained.steps(trace, steps[scenario_hash])
        except (scored.Unscored, UnreadableTrace, KeyError):
            return False
        return parts.whole(trace, scenario_hash)

    return replace(weighing(parts, trainings), judge=judge, whole=whole)
