"""`lockstep list dimensions`: each field of a scenario, and which framework's adapter honours it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from adapters.expressed import FRAMEWORKS, NOT_YET, SAMPLE, TABLE, Expressed, no
from scenarios.dimensions import Dimension, dimensions

MARKS: Mapping[str, str] = {"all": "+", "some": "~", "refused": "-", "not yet": "."}
_MEANING = {
    "all": "every value",
    "some": "some values",
    "refused": "the default alone, for a reason",
    "not yet": "not yet",
}
_SAID = {"all": "honoured by", "some": "some values by", "refused": "refused by", "not yet": "not yet by"}
LEGEND = ", ".join(f"{mark} {_MEANING[state]}" for state, mark in MARKS.items())

_HEAD = """# Dimensions

Made by `lockstep list dimensions --markdown`; do not edit. Every field of a scenario that decides how a step is
computed, and which framework's adapter honours it: {legend}. Whatever a framework does not honour, it refuses by the
field's name, and the cell is `unsupported`. A release, or several fields together, may be refused for reasons of
their own; a cell says them.

| field | values | default | {frameworks} | what it is |
|---|---|---|{dashes}|---|
"""


def told() -> list[Dimension]:
    """Those that are dimensions: fields of rows and weights are in every checkpoint."""
    return [one for one in dimensions() if one.path not in SAMPLE]


def says(path: str, framework: str) -> Expressed:
    return TABLE.get(path, {}).get(framework, no(NOT_YET))


def state(path: str, framework: str) -> str:
    """A key of `MARKS`."""
    here = says(path, framework)
    if here.values is None:
        return "all"
    if here.values:
        return "some"
    return "not yet" if here.because == NOT_YET else "refused"


def entries() -> list[dict[str, Any]]:
    """As JSON."""
    return [
        {
            "name": one.path,
            "what": one.what,
            "values": one.values,
            "default": one.default_told,
            "frameworks": {name: _entry(one.path, name) for name in FRAMEWORKS},
        }
        for one in told()
    ]


def _entry(path: str, framework: str) -> dict[str, Any]:
    here, stands = says(path, framework), state(path, framework)
    values = [repr(value) for value in here.values or ()]
    return {"state": stands, "values": values, "because": "" if stands == "all" else here.because}


def text() -> Text:
    """For a terminal of any width: a paragraph a field."""
    return Text("\n").join([_paragraph(one) for one in told()])


def _paragraph(one: Dimension) -> Text:
    by_state = {how: [name for name in FRAMEWORKS if state(one.path, name) == how] for how in MARKS}
    who = "; ".join(f"{_SAID[how]} {', '.join(names)}" for how, names in by_state.items() if names)
    what = f"  {one.what}\n" if one.what else ""
    heading = Text.assemble((one.path, "bold"), f" = {one.default_told}   {one.values}\n")
    return Text.assemble(heading, what, f"  {who}\n")


def markdown() -> str:
    """The whole page."""
    dashes = "|".join("---" for _ in FRAMEWORKS)
    head = _HEAD.format(legend=f"`{LEGEND}`", frameworks=" | ".join(FRAMEWORKS), dashes=dashes)
    return head + "".join(map(_row, told())) + "\n## Why not\n\n" + "".join(map(_reasons, told()))


def _marks(one: Dimension) -> list[str]:
    return [MARKS[state(one.path, name)] for name in FRAMEWORKS]


def _row(one: Dimension) -> str:
    values, what = (text.replace("|", "\\|") for text in (one.values, one.what))
    cells = (f"`{one.path}`", values, f"`{one.default_told}`", *_marks(one), what)
    return f"| {' | '.join(cells)} |\n"


def _reasons(one: Dimension) -> str:
    """The reasons of one field, frameworks that share one together."""
    reasons: dict[str, list[str]] = {}
    for name in FRAMEWORKS:
        if state(one.path, name) in ("some", "refused"):
            reasons.setdefault(_why(says(one.path, name)), []).append(name)
    return "".join(f"- `{one.path}`, {', '.join(names)}: {why}.\n" for why, names in reasons.items())


def _why(here: Expressed) -> str:
    values = ", ".join(f"`{value!r}`" for value in here.values or ())
    return f"{values} alone; {here.because}" if values else here.because
