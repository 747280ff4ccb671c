"""A watched step in some numbers, for the curves of a training."""

from __future__ import annotations

from pathlib import Path

from harness.oracle import factors
from harness.recordings import effective, reader, weighing
from harness.recordings.reader import Recording
from harness.recordings.weighing import NOTICEABLE, Unweighable, WeighedStep
from lockstep_recorder.batch import CROSSING, PADDING, TRAINED


def of_step(folder: Path, number: int) -> dict[str, float]:
    """Of a step that was just recorded, by ranks that go on recording. Raises UnreadableTrace.

    `unknown`: 1 if the step cannot be weighed; then all but `learning_rate` are left out.
    `learning_rate`: effective, of the group with the most parameters; left out where nothing tells it.
    `residual`: share of the head's gradient that the tokens do not explain.
    `tokens_without_weight`: share of all predicted tokens, prompts among them.
    `trained_without_weight`: share of those that the labels have trained; left out where there are no labels.
    `largest_over_smallest`: weight, of those that have any.
    `clip_coefficient`: what all weights were multiplied by; left out where they follow nothing that is known.
    """
    recording = reader.read_under_way(folder, number)
    if number not in recording.steps:
        return {"unknown": 1.0}
    try:
        step = weighing.weigh(recording, number)
    except Unweighable:
        return {"unknown": 1.0, **_rate(recording, number)}
    return {"unknown": 0.0, **_rate(recording, number), "residual": step.residual, **_weights(step), **_clip(step)}


def _rate(recording: Recording, number: int) -> dict[str, float]:
    told = [group for group in effective.groups(recording, number) if group.rate is not None]
    largest = max(told, key=lambda group: group.parameters, default=None)
    return {} if largest is None or largest.rate is None else {"learning_rate": largest.rate}


def _weights(step: WeighedStep) -> dict[str, float]:
    sizes = step.tokens.weights.abs()
    heavy = (sizes > NOTICEABLE * step.tokens.largest) & step.tokens.known
    real = ~step.tokens.any_of(PADDING | CROSSING) & step.tokens.known
    if not bool(heavy.any()):
        return {}
    found = {
        "tokens_without_weight": float((~heavy[real]).double().mean()),
        "largest_over_smallest": float(sizes[heavy].max() / sizes[heavy].min()),
    }
    trained = step.tokens.any_of(TRAINED) & real
    if step.labels and bool(trained.any()):
        found["trained_without_weight"] = float((~heavy[trained]).double().mean())
    return found


def _clip(step: WeighedStep) -> dict[str, float]:
    scale = step.fit.hypothesis.scale
    if not step.fit.excess <= 1.0:
        return {}
    # A limit of two digits explains itself; the work of another is a factor that has no name.
    unnamed = scale.factor if scale.name == factors.UNNAMED and scale.factor < 1.0 else 1.0
    return {"clip_coefficient": unnamed * step.fit.clips[0]}
