"""A whole bisection: from a question to `bisect.json`, which is kept up to date on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from adapters.contract import Scenario
from harness.bisection import commits, hunt, record
from harness.bisection.conclude import Asked, conclude, measured_point
from harness.bisection.hunt import Hunt, Watcher
from harness.bisection.measure import Measured, Measurer
from harness.bisection.question import Found, Question, base, find
from harness.bisection.record import Bisection, UnreadableBisection
from harness.environments import store
from harness.history.store import History
from harness.session.parts import Observer
from harness.session.plan import Plan

BASE = "sft-ragged"
"""The scenario that the others vary, and that says all of itself."""

PINS = "pins"
"""Folder of environments that are written down package by package."""


@dataclass(frozen=True)
class Inquiry:
    """What to bisect, how, and where to keep the result."""

    question: Question
    plan: Plan
    """Its one choice is the scenario."""
    folder: Path
    history: History
    envs: Path | None = None
    cause: str | None = None
    thorough: bool = False
    command: str = ""
    """What the user typed."""

    @property
    def root(self) -> Path:
        return self.envs or store.default_root()

    def measurer(self, observer: Observer) -> Measurer:
        return Measurer(self.plan, self.folder, self.envs, self.history, observer, self.cause)


def search(inquiry: Inquiry, observer: Observer, watcher: Watcher, note: Callable[[str], None]) -> Bisection:
    """Bisect to the end. Raises what `question.find` does, Impossible, and whatever a session raises."""
    begun, before = time.monotonic(), _seconds_before(inquiry)
    found = find(inquiry.question, inquiry.root, inquiry.folder / PINS, note)
    asked = _asked(inquiry)
    measurer = inquiry.measurer(observer)
    searched = hunt.begin(found.line, inquiry.thorough)

    def keep(so_far: Hunt) -> None:
        record.write(conclude(asked, so_far, before + time.monotonic() - begun), inquiry.folder)

    hunt.run(searched, measurer.measure, watcher, keep)
    bisection = conclude(asked, searched, before + time.monotonic() - begun)
    if found.days is not None:
        bisection = _with_guilt(bisection, found, searched, measurer)
    record.write(bisection, inquiry.folder)
    return bisection


def head(inquiry: Inquiry, observer: Observer, note: Callable[[str], None]) -> Measured:
    """The commit that a clone is at, alone. Raises as `search` does."""
    over = base(inquiry.question, inquiry.root, inquiry.folder / PINS, note)
    (measured,) = inquiry.measurer(observer).measure([commits.at(over, "HEAD")], [0])
    return measured


def _asked(inquiry: Inquiry) -> Asked:
    choice = inquiry.plan.choices[0]
    facts = [] if choice.name == BASE else [_facts(inquiry.plan.scenario(choice))]
    told = " ".join([*([choice.told] if choice.told else []), *facts])
    return Asked(
        kind=inquiry.question.kind,
        framework=inquiry.question.request().framework,
        target=inquiry.question.target,
        scenario=choice.label,
        scenario_told=told,
        cause=inquiry.cause,
        patch=inquiry.question.patch,
        command=inquiry.command,
    )


def _facts(scenario: Scenario) -> str:
    clip = f"clipped at {scenario.optimizer.max_grad_norm}" if scenario.optimizer.max_grad_norm else "not clipped"
    return (
        f"{scenario.window.ranks} data-parallel ranks x {scenario.window.accumulation} micro-batches of"
        f" {scenario.window.micro_batch_size}"
        f" a step, {scenario.precision.compute}, AdamW, {clip}, {scenario.window.steps} steps."
    )


def _seconds_before(inquiry: Inquiry) -> float:
    """What an earlier, stopped run of the same command has taken."""
    try:
        earlier = record.read(inquiry.folder)
    except UnreadableBisection:
        return 0.0
    return 0.0 if earlier.complete or earlier.command != inquiry.command else earlier.seconds


def _with_guilt(bisection: Bisection, found: Found, searched: Hunt, measurer: Measurer) -> Bisection:
    """Which packages bring each change, and whether they do so with nothing else swapped than what they need."""
    assert found.days is not None
    days, places = found.days, {label: number for number, label in enumerate(bisection.order)}
    boundaries = []
    for number, boundary in enumerate(bisection.boundaries):
        before, after = places[boundary.before], places[boundary.after]
        swaps = days.swaps[before:after]
        needed = days.with_needs(swaps)
        update: dict[str, object] = {"guilty": [str(swap) for swap in swaps]}
        if needed != days.swaps[:after]:
            point = days.point(f"alone {number}", needed)
            (alone,) = measurer.measure([point], [0])
            update["alone"] = measured_point(point, [alone])
        boundaries.append(boundary.model_copy(update=update))
    return bisection.model_copy(update={"boundaries": boundaries})
