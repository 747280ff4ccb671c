"""The pictures: final reward against the measured mismatch, and reward over the steps. SVG, by Vega."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from harness.policy.record import ArmRecord, Experiment
from harness.seeds import Number
from reports.drawn import data, lines, svg
from reports.policy import told

EXACT = "exact rollouts"
COLUMNS, WIDTH, HEIGHT = 2, 330, 210

Point = Mapping[str, Any]


def against_mismatch(found: Experiment) -> str:
    """A line for each correction, a chart for each kind; the x axis is the mismatch that was measured, not its size.

    Exact rollouts have none, and are drawn as a level.
    """
    exact, others = _parted(found)
    points = [_point(arm.kind, arm.correction, arm.measures["k3_kl"].mean, arm.final) for arm in others]
    places: dict[str, list[float]] = {}
    for point in points:
        places.setdefault(point["chart"], []).append(point["x"])
    level = [_point(kind, EXACT, x, exact.final) for kind, own in places.items() for x in (min(own), max(own))]
    ticks = alt.Axis(format="~e", tickCount=4)
    scale = alt.Scale(type="log", nice=False)
    axis = alt.X("x:Q", title="k3_kl, in the mean over the training", scale=scale, axis=ticks)
    return _charts(axis, "final reward", [*level, *points], point=True)


def over_steps(found: Experiment) -> str:
    """Reward of what the sampler drew, at the largest size of each kind."""
    exact, others = _parted(found)
    largest = {arm.kind: arm.size for arm in others}
    shown = [arm for arm in others if arm.size == largest[arm.kind]]
    curves = [(told.label(arm), EXACT, exact.rewards) for arm in shown if arm.correction == shown[0].correction]
    curves += [(told.label(arm), arm.correction, arm.rewards) for arm in shown]
    points = [
        _point(chart, correction, at * found.steps / len(rewards), value)
        for chart, correction, rewards in curves
        for at, value in enumerate(rewards)
    ]
    return _charts(alt.X("x:Q", title="step"), "reward of what was sampled", points, point=False)


def _parted(found: Experiment) -> tuple[ArmRecord, Sequence[ArmRecord]]:
    """The arm of exact rollouts, which comes first, and the others."""
    return found.arms[0], found.arms[1:]


def _point(chart: str, correction: str, x: float, value: Number) -> Point:
    low, high = (value.mean if edge is None else edge for edge in (value.low, value.high))
    return {"chart": chart, "correction": correction, "x": x, "mean": value.mean, "low": low, "high": high}


def _charts(x: alt.X, title: str, points: Sequence[Point], point: bool) -> str:
    """A line with its band for each correction."""
    colour, dash = lines("correction", list(dict.fromkeys(each["correction"] for each in points)))
    base = alt.Chart().encode(x=x, color=colour)
    scale = alt.Scale(zero=False)
    band = base.mark_area(opacity=0.12).encode(y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q")
    line = base.mark_line(strokeWidth=1.8, point=point).encode(y=alt.Y("mean:Q", title=title), strokeDash=dash)
    chart = alt.layer(band, line, data=data(points)).properties(width=WIDTH, height=HEIGHT)
    order = list(dict.fromkeys(each["chart"] for each in points))
    faceted = chart.facet(alt.Facet("chart:N", title=None, sort=order), columns=COLUMNS)
    return svg(faceted.resolve_scale(x="independent"))
