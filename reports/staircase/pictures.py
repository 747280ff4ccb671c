"""The pictures of a staircase: loss and gradient norm of every arm over the steps, and the scores. SVG, by Vega."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt

from harness.staircase.record import ArmRecord, Staircase, TrainingRecord
from reports.drawn import COLOURS, data, lines, smoothed, svg

SMOOTHED = 15
"""Steps of a running mean."""
POINTS = 100
"""At most, of a line."""


def loss(found: Staircase) -> str:
    return _over_steps(found, "logged loss", lambda one: one.loss)


def grad_norm(found: Staircase) -> str:
    return _over_steps(found, "gradient norm", lambda one: one.grad_norm)


def scores(found: Staircase) -> str:
    """Every training as a point, and the mean of each arm as a stroke."""
    points = [
        {"arm": arm.label, "metric": name, "value": value}
        for arm in found.arms
        for one in arm.trainings
        for name, value in (("exact match", one.accuracy), ("held-out NLL", one.nll))
        if value is not None and math.isfinite(value)
    ]
    base = alt.Chart().encode(
        y=alt.Y("arm:N", title=None, sort=None, axis=alt.Axis(labelLimit=420)),
        x=alt.X("value:Q", title=None, scale=alt.Scale(zero=True)),
    )
    marks = base.mark_point(size=45, color=COLOURS[3])
    means = base.mark_tick(thickness=3, size=18, color=COLOURS[0]).encode(x="mean(value):Q")
    chart = alt.layer(marks, means, data=data(points)).properties(width=260, height=alt.Step(22))
    return svg(chart.facet(alt.Facet("metric:N", title=None), columns=2).resolve_scale(x="independent"))


def _over_steps(found: Staircase, what: str, of: Any) -> str:
    """A line for each arm, the mean over its seeds; around it from the lowest to the highest seed."""
    arms = [arm for arm in found.arms if any(one.state == "trained" for one in arm.trainings)]
    labels = [arm.label for arm in arms]
    points = [{"arm": arm.label, **point} for arm in arms for point in _points(arm, of)]
    colour, dash = lines("arm", labels)
    base = alt.Chart(data(points)).encode(x=alt.X("step:Q", title="step"), color=colour)
    band = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title=what), y2="high:Q")
    line = base.mark_line(strokeWidth=1.8).encode(y=alt.Y("mean:Q", title=what), strokeDash=dash)
    return svg(alt.layer(band, line).properties(width=620, height=260))


def _points(arm: ArmRecord, of: Any) -> Iterator[Mapping[str, float]]:
    told: list[Sequence[float]] = [smoothed(of(one), SMOOTHED) for one in arm.trainings if _told(one, of)]
    if not told:
        return
    every = max(1, len(told[0]) // POINTS)
    for step, values in list(enumerate(zip(*told, strict=False)))[::every]:
        yield {"step": step, "mean": statistics.fmean(values), "low": min(values), "high": max(values)}


def _told(one: TrainingRecord, of: Any) -> bool:
    return one.state == "trained" and all(value is not None and math.isfinite(value) for value in of(one))
