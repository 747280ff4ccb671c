"""What pictures of trainings have in common: colours, running means, and the way to SVG. By Vega, without a network."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import vl_convert

COLOURS = [
    "#c62828",
    "#ef6c00",
    "#6a1b9a",
    "#1565c0",
    "#00838f",
    "#2e7d32",
    "#5d4037",
    "#37474f",
    "#ad1457",
    "#9e9d24",
]
DASHES = [[1, 0], [6, 3], [2, 2], [1, 0], [8, 3, 2, 3], [4, 2], [1, 0], [6, 3], [2, 2], [4, 4]]


def data(points: Sequence[Mapping[str, Any]]) -> Any:
    return alt.InlineData(values=list(points))


def lines(of: str, labels: Sequence[str]) -> tuple[alt.Color, alt.StrokeDash]:
    """A colour and a dash for each label of a field, with a legend below."""
    legend = alt.Legend(
        title=None, orient="bottom", columns=1, labelLimit=600, symbolType="stroke", symbolOpacity=1, symbolSize=400
    )
    colour = alt.Color(f"{of}:N", sort=None, scale=alt.Scale(domain=labels, range=COLOURS), legend=legend)
    dash = alt.StrokeDash(f"{of}:N", sort=None, scale=alt.Scale(domain=labels, range=DASHES), legend=legend)
    return colour, dash


def smoothed(values: Sequence[float], steps: int) -> list[float]:
    """The mean of a step and of those before it, `steps` in all."""
    return [statistics.fmean(values[max(0, at + 1 - steps) : at + 1]) for at in range(len(values))]


def svg(chart: Any) -> str:
    plain = {**chart.to_dict(validate=False), "background": "white"}
    return str(vl_convert.vegalite_to_svg(json.dumps(plain)))
