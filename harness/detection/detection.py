"""A whole detection: the faults in the reference, then the bugs, release by release."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

from adapters.contract import Scenario
from adapters.faults import Fault
from harness.detection import bugs as public
from harness.detection import planted
from harness.detection.bugs import Bug
from harness.detection.memory import OVER, Memory, TimeOver
from harness.detection.record import BugRecord, CleanRecord, Detection, FaultRecord, OutcomeRecord, SetRecord
from harness.detection.sets import scenarios_of
from harness.environments.request import Request, parse
from harness.fuzzing.cells import Cells

REFERENCE = "torch"
"""What faults are planted in."""

Start = Callable[[Request], AbstractContextManager[Cells | str]]
"""Cells of a release, started; or why there are none, in one line."""
Outcomes = dict[str, dict[str, OutcomeRecord]]
"""By name and set of scenarios."""


class NoReference(Exception):
    """The reference does not start; the message is one line."""


@dataclass(frozen=True)
class Wish:
    """What is asked for."""

    sets: tuple[str, ...]
    faults: tuple[Fault, ...]
    bugs: tuple[Bug, ...]
    clean: tuple[CleanRecord, ...] = ()


def detect(wish: Wish, memory: Memory, start: Start, told: Callable[[str], None]) -> Detection:
    """What is known by now stays known whatever ends it. Raises BuildFailed and what starting the reference raises."""
    try:
        sets, faults = _faults(wish, memory, start, told) if wish.faults else ({}, ())
        bugs = _bugs(wish, memory, start, told)
    except BaseException:
        memory.keep()
        raise
    return memory.conclude(sets=sets, faults=faults, bugs=bugs, clean=wish.clean)


def _faults(
    wish: Wish, memory: Memory, start: Start, told: Callable[[str], None]
) -> tuple[dict[str, SetRecord], tuple[FaultRecord, ...]]:
    sets: dict[str, SetRecord] = {}
    outcomes: Outcomes = {fault.name: {} for fault in wish.faults}
    with start(parse(REFERENCE).resolved()) as cells:
        if isinstance(cells, str):
            raise NoReference(cells)
        for name in wish.sets:
            told(f"{name}: planting {len(wish.faults)} faults")
            scenarios, run = scenarios_of(name, REFERENCE), partial(memory.run, cells)
            try:
                sets[name], found = planted.detect(scenarios, wish.faults, run)
            except TimeOver as over:
                sets[name] = SetRecord(cells=len(scenarios), clean={}, chosen=())
                found = {fault.name: _not_run(len(scenarios), str(over)) for fault in wish.faults}
            for fault, outcome in found.items():
                outcomes[fault][name] = outcome
    return sets, tuple(
        FaultRecord(name=fault.name, what=fault.what, cause=fault.cause, outcomes=outcomes[fault.name])
        for fault in wish.faults
    )


def _bugs(wish: Wish, memory: Memory, start: Start, told: Callable[[str], None]) -> tuple[BugRecord, ...]:
    outcomes: Outcomes = {bug.name: {} for bug in wish.bugs}
    for request, own in _by_release(wish.bugs).items():
        told(f"{request}: looking for {', '.join(bug.name for bug in own)}")
        begun = start(request) if memory.worth_starting(str(request)) else nullcontext(OVER)
        with begun as cells:
            for name in wish.sets:
                scenarios = scenarios_of(name, request.framework)
                found = _looked_for(own, scenarios, cells, memory)
                for bug, outcome in found.items():
                    outcomes[bug][name] = outcome
    return tuple(bug.record(outcomes[bug.name]) for bug in wish.bugs)


def _looked_for(
    bugs: Sequence[Bug], scenarios: Sequence[Scenario], cells: Cells | str, memory: Memory
) -> dict[str, OutcomeRecord]:
    if isinstance(cells, str):
        return {bug.name: _not_run(len(scenarios), cells) for bug in bugs}
    try:
        return public.detect(scenarios, bugs, partial(memory.run, cells))
    except TimeOver as over:
        return {bug.name: _not_run(len(scenarios), str(over)) for bug in bugs}


def _not_run(cells: int, why: str) -> OutcomeRecord:
    return OutcomeRecord(cells=cells, unknown=cells, reason=why)


def _by_release(bugs: Sequence[Bug]) -> Mapping[Request, list[Bug]]:
    found: dict[Request, list[Bug]] = {}
    for bug in bugs:
        if (request := bug.request) is not None:
            found.setdefault(request, []).append(bug)
    return found
