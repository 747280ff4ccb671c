"""What is configured for a run against what is effective, beside the rates and decay of its groups."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.intent.intent import Rule
from harness.oracle.update import TensorState, recover, recover_eps
from harness.recordings import effective, weighing
from harness.recordings.reader import OfRank, Recording
from harness.recordings.weighing import NOTICEABLE, WeighedStep
from lockstep_recorder.batch import TRAINED

Value = float | int | str

FOLLOWS = 5e-4
"""Share of an update that rounding in float32 may leave unexplained, of the entries that are recorded."""
NONE = 1e-30
"""An eps that is none."""


@dataclass(frozen=True)
class Fact:
    """One number of a run."""

    what: str
    configured: tuple[Value, ...]
    """As the optimizer's groups, the labels or the recorder have it; several where it is not one. Empty: nothing said.
    """
    effective: tuple[Value, ...]
    """As it was recovered, each value once. Empty: it cannot be told."""


def facts(recording: Recording, steps: Sequence[WeighedStep]) -> list[Fact]:
    """In the order in which a table shows them."""
    every = list(recording.steps.values())
    header = recording.header
    return [
        *_betas(every),
        Fact("eps", _configured(every, "eps"), _eps(recording)),
        Fact("clip", (), _values(filter(None, [weighing.limit_of_run(steps)]))),
        Fact("micro-batches of a rank", (), _values(part.line.passes for parts in every for part in parts)),
        Fact("ranks", (header.ranks,), _values(_stepping(parts) for parts in every)),
        Fact("trained tokens", _values(_labelled(step) for step in steps), _values(map(heavy, steps))),
        Fact("dtype of parameters", (), tuple(header.dtypes)),
        Fact("dtype of masters", (), _values(name for parts in every for part in parts for name in part.line.masters)),
        Fact("dtype of moments", (), _values(name for parts in every for part in parts for name in part.line.moments)),
    ]


def _values(values: Iterable[Value]) -> tuple[Value, ...]:
    return tuple(dict.fromkeys(values))


def _configured(every: Sequence[Sequence[OfRank]], name: str) -> tuple[Value, ...]:
    told = [group.get(name) for parts in every for group in parts[0].line.groups]
    return _values(float(v) for v in told if isinstance(v, (int, float)) and not isinstance(v, bool))


def _betas(every: Sequence[Sequence[OfRank]]) -> list[Fact]:
    found = [weighing.followed_betas(parts) for parts in every]
    pairs = [group.get("betas") for parts in every for group in parts[0].line.groups]
    told = [pair for pair in pairs if isinstance(pair, list) and len(pair) == 2]
    result = []
    for i, name in enumerate(("beta1", "beta2")):
        values = [value for one in found if (value := getattr(one, name)) is not None]
        middle = (statistics.median(values),) if values else ()
        result.append(Fact(name, _values(float(pair[i]) for pair in told), middle))
    return result


def _eps(recording: Recording) -> tuple[Value, ...]:
    """The configured one where it explains the updates, and none at all would not; another where only that does."""
    for number, parts in recording.steps.items():
        rule, count = effective.rule_of(parts), effective.count(parts, number)
        states = effective.telling(recording, parts, rule, number)
        if states and _all_follow(states, rule, count):
            if not _all_follow(states, replace(rule, eps=NONE), count):
                return (rule.eps,)
        elif states:
            found = recover_eps(states, rule, dict.fromkeys(states, count))
            known = found is not None and _all_follow(states, replace(rule, eps=found), count)
            return (found,) if found is not None and known else ()
    return ()


def _all_follow(states: Mapping[str, TensorState], rule: Rule, count: int) -> bool:
    updates = [recover(name, state, rule, count) for name, state in states.items()]
    return all(u.residual <= max(FOLLOWS, u.residual_bound) for u in updates)


def _stepping(parts: Sequence[OfRank]) -> int:
    """Ranks whose micro-batches are in the step."""
    return sum(part.line.passes > 0 for part in parts)


def _labelled(step: WeighedStep) -> Value:
    return int(step.tokens.any_of(TRAINED).sum()) if step.labels else "no labels"


def heavy(step: WeighedStep) -> int:
    """Tokens that weigh something."""
    tokens = step.tokens
    return int(((tokens.weights.abs() > NOTICEABLE * tokens.largest) & tokens.known).sum())
