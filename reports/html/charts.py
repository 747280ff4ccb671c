"""The specifications of all charts, made once and without data: a page brings its own.

Colours are names of the style sheet's, so that one drawing serves light, dark and paper.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

import altair as alt

from reports.html.curves import QUANTITIES
from reports.html.weight_map import KINDS

LEVELS = 6
"""Shades of a heat map, in each of two palettes: `off` for what should be 0, `far` for what may be anything."""
_COLOURS = [f"var(--who-{number})" for number in range(10)]
"""Of lines: the oracle's, this run's, then the others'. No two of a picture are alike."""
_DASHES = [[6, 4], [1, 0], [5, 2], [2, 2], [8, 3], [8, 3, 2, 3], [1, 2], [12, 3], [4, 1], [3, 3, 1, 3]]
_SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right", "triangle-left"]
_POINTS = [*_SHAPES, "wedge", "arrow"]


@cache
def script() -> str:
    """The specifications, by name, as a script; the same for every report, so made once a process."""
    specs = {"weights": _weights(), "curves": _curves(), "heat": _heat(), "rule": _rule()}
    plain = {name: {**chart.to_dict(validate=False), "config": _config()} for name, chart in specs.items()}
    return f"window.LOCKSTEP_CHARTS = {json.dumps(plain, separators=(',', ':'))};\n"


def _config() -> dict[str, Any]:
    text = {"labelColor": "var(--ink)", "titleColor": "var(--ink)", "titleFontWeight": "normal"}
    axis = {"domainColor": "var(--line)", "tickColor": "var(--line)", "gridColor": "var(--grid)"}
    return {
        "background": "transparent",
        "font": "system-ui, sans-serif",
        "axis": {**text, **axis, "labelFontSize": 12, "titleFontSize": 12},
        "legend": {**text, "labelFontSize": 12, "labelLimit": 400, "symbolStrokeWidth": 2},
        "title": {"color": "var(--ink)", "fontSize": 13},
        "header": {**text, "labelFontSize": 13, "labelFontWeight": "bold"},
        "view": {"stroke": "transparent"},
        "text": {"color": "var(--ink)", "fontSize": 12},
    }


def _colours(keys: Iterable[str], prefix: str) -> alt.Scale:
    named = list(keys)
    return alt.Scale(domain=named, range=[f"var(--{prefix}-{key})" for key in named])


def _title(field: str, title: str) -> alt.Tooltip:
    return alt.Tooltip(field, title=title)


# ---- the weight map


def _weights() -> Any:
    """A square for each token; beside it brackets, the row, and what its tokens weigh on average."""
    return alt.layer(*_tokens(), *_brackets(), *_beside())


def _vertical(field: str) -> alt.Y:
    return alt.Y(field, type="quantitative", axis=None, scale=alt.Scale(reverse=True, nice=False, zero=False))


def _tokens() -> list[alt.Chart]:
    across = alt.X("from:Q", axis=None, scale=alt.Scale(nice=False, zero=False))
    keys = [kind.key for kind in KINDS]
    squares = alt.Chart(alt.NamedData("tokens")).mark_rect(stroke="var(--paper)", strokeWidth=1.5)
    marks = alt.Chart(alt.NamedData("marks")).mark_text(fontSize=11, fontWeight="bold", aria=False)
    return [
        squares.encode(
            x=across,
            x2="to",
            y=_vertical("top"),
            y2="bottom",
            fill=alt.Fill("kind:N", scale=_colours(keys, "weight"), legend=None),
            description="said:N",
            tooltip=[
                _title("word:N", "token"),
                _title("id:Q", "token id"),
                _title("weight:N", "weight x N"),
                _title("right:Q", "right"),
                _title("ratio:N", "weight / right"),
                _title("meaning:N", "so it has"),
                _title("place:N", "place"),
            ],
        ),
        marks.encode(
            x=alt.X("middle:Q"),
            y=_vertical("centre"),
            text="mark:N",
            color=alt.Color("kind:N", scale=_colours(keys, "mark"), legend=None),
        ),
    ]


def _brackets() -> list[alt.Chart]:
    """From the outside in: the micro-batch, then the rank."""
    return [layer for level, at in (("micro-batch", -118), ("rank", -64)) for layer in _bracket(level, at)]


def _bracket(level: str, at: int) -> list[alt.Chart]:
    own = alt.Chart(alt.NamedData("brackets")).transform_filter(alt.datum.level == level)
    line: dict[str, Any] = {"stroke": "var(--line)", "strokeWidth": 1.5, "aria": False}
    ends = [
        own.mark_rule(**line).encode(x=alt.value(at), x2=alt.value(at + 5), y=_vertical(field))
        for field in ("inner_top", "inner_bottom")
    ]
    return [
        own.mark_rule(**line).encode(x=alt.value(at), y=_vertical("inner_top"), y2="inner_bottom"),
        *ends,
        own.mark_text(align="right", aria=False).encode(x=alt.value(at - 6), y=_vertical("centre"), text="label:N"),
    ]


def _beside() -> list[alt.Chart]:
    """The row's name before its tokens, and after them their mean weight."""
    lines = alt.Chart(alt.NamedData("lines"))
    weight = alt.condition("datum.wrong", alt.value("var(--bad)"), alt.value("var(--ink)"))
    return [
        lines.mark_text(align="right", aria=False).encode(x=alt.value(-8), y=_vertical("centre"), text="row:N"),
        lines.mark_text(align="left", dx=8, fontWeight="bold", aria=False).encode(
            x=alt.X("end:Q"), y=_vertical("centre"), text="mean:N", color=weight
        ),
    ]


# ---- over the steps


def _curves() -> Any:
    """What was reported over the steps: the oracle's, this framework's, and that of the others."""
    return alt.concat(*map(_curve, QUANTITIES), columns=2)


def _curve(quantity: str) -> Any:
    """All runs in one panel; a run has its colour, its dashes and its points."""
    legend = alt.Legend(title=None, orient="bottom", columns=3, symbolSize=90)
    rate = quantity.startswith("learning rate")  # from 0: one that never changes is to look like that
    base = (
        alt.Chart(alt.NamedData("points"))
        .transform_filter(alt.datum.what == quantity)
        .encode(
            x=alt.X("step:O", title="step", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=rate, padding=8), axis=alt.Axis(format=".6~g")),
            color=alt.Color("who:N", scale=alt.Scale(range=_COLOURS), legend=legend, sort=None),
            tooltip=[_title("who:N", "run"), _title("step:Q", "step"), _title("exact:N", "value")],
        )
    )
    dashes = alt.StrokeDash("who:N", scale=alt.Scale(range=_DASHES), legend=legend, sort=None)
    shapes = alt.Shape("who:N", scale=alt.Scale(range=_POINTS), legend=legend, sort=None)
    lines = base.mark_line(strokeWidth=2, aria=False).encode(strokeDash=dashes)
    points = base.mark_point(size=60, filled=False, strokeWidth=2, aria=False).encode(shape=shapes)
    return alt.layer(lines, points).properties(title=quantity)


# ---- by tensor


def _heat() -> Any:
    """A number in a shade, for each column and row."""
    keys = [f"{palette}{level}" for palette in ("off", "far") for level in range(LEVELS)]
    base = alt.Chart().encode(
        x=alt.X("column:N", title=None, sort=None, axis=alt.Axis(labelAngle=0, domain=False, ticks=False)),
        y=alt.Y("row:N", title=None, sort=None, axis=alt.Axis(domain=False, ticks=False, labelLimit=260)),
    )
    squares = base.mark_rect(stroke="var(--paper)", strokeWidth=1.5, aria=False).encode(
        fill=alt.Fill("level:N", scale=_colours(keys, "heat"), legend=None),
        tooltip=[_title("name:N", "of"), _title("place:N", "where"), _title("exact:N", "value")],
    )
    numbers = base.mark_text(fontSize=10.5, aria=False).encode(
        text="text:N", color=alt.Color("level:N", scale=_colours(keys, "on-heat"), legend=None)
    )
    both = alt.layer(squares, numbers, data=alt.NamedData("squares")).properties(
        width=alt.Step(42), height=alt.Step(22)
    )
    return both.facet(alt.Facet("part:N", title=None, sort=None), columns=3).resolve_axis(x="independent")


def _rule() -> Any:
    """A number for each tensor and step, and a stroke where it should be."""
    down = alt.Y("tensor:N", title=None, sort=None, axis=alt.Axis(grid=True, domain=False, ticks=False, labelLimit=260))
    along = alt.X(
        "value:Q", title=None, axis=alt.Axis(format=".6~g", tickCount=5, labelOverlap=True, labelSeparation=8)
    )
    strokes = alt.Chart(alt.NamedData("right")).mark_tick(thickness=3, color="var(--who-0)", size=16, aria=False)
    points = alt.Chart(alt.NamedData("found")).mark_point(size=55, strokeWidth=1.8, aria=False)
    frame = alt.Chart(alt.NamedData("frame")).mark_point(opacity=0, aria=False)
    legend = alt.Legend(title="step", orient="top")
    return alt.layer(
        strokes.encode(x=along, y=down),
        points.encode(
            x=along,
            y=down,
            shape=alt.Shape("step:N", scale=alt.Scale(range=_SHAPES), legend=legend, sort=None),
            color=alt.condition("datum.wrong", alt.value("var(--bad)"), alt.value("var(--who-2)")),
            tooltip=[_title("tensor:N", "tensor"), _title("step:N", "step"), _title("exact:N", "recovered")],
        ),
        frame.encode(x=along),
    ).properties(height=alt.Step(18))
