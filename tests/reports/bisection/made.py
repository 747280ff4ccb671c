"""Bisections of every kind, as a search and what is concluded of it make them."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

from harness.bisection import hunt
from harness.bisection.conclude import Asked, conclude, measured_point
from harness.bisection.point import Line, Point
from harness.bisection.record import Bisection
from harness.bisection.search import Outcome
from harness.environments.request import Request
from tests.harness.bisection import made
from tests.harness.bisection.made import BOTH, CRASH, DROPPED, HOLE, RIGHT, SCALED

ASKED = Asked(
    kind="releases",
    framework="deepspeed",
    target="deepspeed",
    scenario="sft-ragged-zero2-offload",
    scenario_told="Ragged rows, ZeRO-2, optimizer on the CPU. 2 data-parallel ranks x 4 micro-batches of 1 a step.",
    cause=None,
    patch=None,
    command="lockstep bisect deepspeed --scenario sft-ragged-zero2-offload",
)


def bisection(
    truth: Sequence[Outcome], flaky: Mapping[int, Outcome] | None = None, asked: Asked = ASKED, of: str = "deepspeed"
) -> Bisection:
    """Of releases. The machine that it was found out on is the same everywhere."""
    found = conclude(asked, made.searched(truth, flaky, of=of), 187.0)
    return found.model_copy(update={"platform": "CPython-3.11-Linux-x86_64", "lockstep": "0.1.0"})


def windows() -> Bisection:
    """Wrong in three ways, one after the other, and in one of them again at the end."""
    truth = [RIGHT] * 12 + [DROPPED] * 9 + [BOTH] * 8 + [RIGHT] * 6 + [SCALED] * 5
    return bisection(truth)


def holes() -> Bisection:
    """The change lies somewhere among releases that do not install, or crash."""
    return bisection([RIGHT] * 7 + [HOLE, CRASH, HOLE] + [DROPPED] * 4)


def inconclusive() -> Bisection:
    return bisection([RIGHT] * 6 + [DROPPED] * 6, flaky={6: RIGHT})


def unfinished() -> Bisection:
    """Stopped after the first three points of many."""
    searched = hunt.begin(made.line(90))
    for number, outcome in ((0, RIGHT), (89, DROPPED), (40, CRASH)):
        searched.add(number, made.measured(made.point(number).label, outcome))
    return conclude(ASKED, searched, 61.0).model_copy(update={"platform": "CPython-3.11-Linux-x86_64"})


def guilty(alone: Outcome | None = SCALED) -> Bisection:
    """Of two dates, between which one of five packages brings the change; `alone`: with no other swapped."""
    days = dt.date(2024, 12, 1), dt.date(2025, 6, 1)
    swaps = (
        "numpy 1.26.4 -> 2.2.6",
        "accelerate 1.1.1 -> 1.7.0",
        "transformers 4.46.3 -> 4.52.4",
        "rich 13.9 -> absent",
    )
    request = Request("trl", "0.12.2")
    middle = [Point(f"{i:02d} {swap.split()[0]}", request, told=swap) for i, swap in enumerate(swaps, 1)]
    ends = [Point(str(day), request, day) for day in days]
    points = (ends[0], *middle, dataclasses.replace(ends[1], told="hf-xet absent -> 1.1.2"))
    world = made.World({p.label: [RIGHT if i < 3 else SCALED] for i, p in enumerate(points)})
    searched = hunt.begin(Line(points, "packages, as of two dates", ends_only=True))
    hunt.run(searched, world.measure, world, made.ignore)
    asked = dataclasses.replace(
        ASKED, kind="dates", framework="trl", target="trl==0.12.2", command="lockstep bisect trl==0.12.2 --by-date"
    )
    found = conclude(asked, searched, 240.0)
    swapped = None if alone is None else measured_point(points[1], [made.measured("alone", alone)])
    change = found.boundaries[0].model_copy(update={"guilty": [swaps[2]], "alone": swapped})
    return found.model_copy(update={"boundaries": [change], "platform": "CPython-3.11-Linux-x86_64"})


def nothing() -> Bisection:
    """All of it is right."""
    return bisection([RIGHT] * 20)


def silent() -> Bisection:
    """No point tells anything."""
    return bisection([CRASH] * 3 + [HOLE] * 3)


def underneath() -> Bisection:
    asked = dataclasses.replace(
        ASKED, kind="underneath", framework="trl", target="trl==0.12.2", cause="gradient-scale", patch="mend.py (1a2b)"
    )
    return bisection([RIGHT] * 3 + [SCALED] * 4, asked=asked, of="transformers")


KINDS = (windows, holes, inconclusive, unfinished, guilty, nothing, silent, underneath)

truths = st.lists(
    st.tuples(st.sampled_from([RIGHT, DROPPED, SCALED, BOTH, HOLE, CRASH, Outcome("unsupported")]), st.integers(1, 9)),
    min_size=1,
    max_size=6,
).map(lambda runs: [outcome for outcome, length in runs for _ in range(length)])


@st.composite
def bisections(draw: st.DrawFn) -> Bisection:
    """Of any outcomes, with unstable points among them."""
    truth = draw(truths)
    flaky = draw(st.dictionaries(st.integers(0, len(truth) - 1), st.sampled_from([RIGHT, SCALED, CRASH]), max_size=2))
    return bisection(truth, flaky)


odd = st.text("ab|\\\n\r\t`*<>[]\x0b\x85\u2028 ", max_size=9)


@st.composite
def hostile(draw: st.DrawFn) -> Bisection:
    """Such as a file from elsewhere may hold: every text in it may be anything."""
    found = draw(bisections())
    names = {label: f"{number} {draw(odd)}" for number, label in enumerate(found.order)}
    causes = {cause: f"{i} {draw(odd)}" for i, cause in enumerate((*DROPPED.causes, *SCALED.causes))}
    text = found.model_dump()

    def renamed(value: object) -> object:
        if isinstance(value, dict):
            changed = {key: renamed(each) for key, each in value.items()}
            return changed | {key: draw(odd) for key in ("told", "reason", "compare") if changed.get(key)}
        if isinstance(value, list):
            return [renamed(each) for each in value]
        return names.get(value, causes.get(value, value)) if isinstance(value, str) else value

    return Bisection.model_validate(renamed(text))
