"""The relations: what each says, how a scenario becomes two that must give one update, and what of them may differ.

None needs an oracle: a release that breaks one is wrong on one of the two sides at least, whichever update is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from adapters.contract import Compiled, Scenario, Strategy, vary

Sides = tuple[Scenario, Scenario]


@dataclass(frozen=True)
class Relation:
    """One relation."""

    name: str
    sentence: str
    sides: Callable[[Scenario], Iterator[Sides]]
    """The pairs of scenarios that a scenario becomes. Some of them may be none that can run. Raises ValueError, in one
    line, for a scenario that the relation says nothing of."""
    may_differ: tuple[str, ...]
    """Fields that differ between the two sides; all others are alike."""


def _split(scenario: Scenario) -> Iterator[Sides]:
    """Over fewer ranks, in larger micro-batches, and both."""
    _check_windows(scenario)
    window = scenario.window
    ranks, size, accumulation = window.ranks, window.micro_batch_size, window.accumulation
    if ranks > 1:
        yield scenario, vary(scenario, ranks=1, accumulation=accumulation * ranks)
        yield scenario, vary(scenario, ranks=1, micro_batch_size=size * ranks)
    elif accumulation % 2 == 0:
        yield scenario, vary(scenario, ranks=2, accumulation=accumulation // 2)
    if accumulation > 1:
        yield scenario, vary(scenario, micro_batch_size=size * accumulation, accumulation=1)
    if size > 1:
        yield scenario, vary(scenario, micro_batch_size=1, accumulation=accumulation * size)


def _permuted(scenario: Scenario) -> Iterator[Sides]:
    """Every second row of a window first, so that nearly all have another neighbour, micro-batch and rank."""
    _check_windows(scenario)
    each, steps, rows = scenario.rows_per_step, scenario.window.steps, scenario.data.rows
    windows = [rows[at : at + each] for at in range(0, each * steps, each)]
    moved = tuple(row for window in windows for row in (*window[1::2], *window[::2]))
    yield scenario, vary(scenario, rows=(*moved, *rows[each * steps :]))


def _doubled(scenario: Scenario) -> Iterator[Sides]:
    """Twice as many micro-batches."""
    _check_windows(scenario)
    rows = tuple(row for row in scenario.data.rows for _ in range(2))
    parts = tuple(2 * part for part in scenario.data.parts)
    yield scenario, vary(scenario, rows=rows, parts=parts, accumulation=2 * scenario.window.accumulation)


def _packed(scenario: Scenario) -> Iterator[Sides]:
    """Two rows a sequence against micro-batches of as many; and as one sequence all rows of a window that fit in it,
    for frameworks that choose what shares one."""
    _check_windows(scenario)
    window, each = scenario.window, scenario.data.rows_per_sequence
    size, accumulation = window.micro_batch_size, window.accumulation
    if each > 1:
        yield vary(scenario, rows_per_sequence=1, micro_batch_size=size * each), scenario
    elif size % 2 == 0:
        yield scenario, vary(scenario, rows_per_sequence=2, micro_batch_size=size // 2)
    elif accumulation % 2 == 0:
        fewer = vary(scenario, accumulation=accumulation // 2)
        yield vary(fewer, micro_batch_size=2 * size), vary(fewer, rows_per_sequence=2)
    room = scenario.model.max_positions - 1  # LLaMA-Factory fills a sequence up with one token more
    count = _fitting(scenario, room)
    alone = vary(
        scenario, rows=scenario.data.rows[:count], parts=(), rows_per_sequence=1, epochs=window.steps, ranks=1,
        accumulation=1,
    )  # fmt: skip
    yield vary(alone, micro_batch_size=count), vary(alone, micro_batch_size=1, packed_length=room)


def _fitting(scenario: Scenario, room: int) -> int:
    """How many rows of the first window fit into a sequence of so many tokens."""
    total = 0
    for count, row in enumerate(scenario.data.rows[: scenario.rows_per_step]):
        total += scenario.tokens(row)
        if total > room:
            return count
    return scenario.rows_per_step


def _stage(scenario: Scenario) -> Iterator[Sides]:
    whole = vary(scenario, strategy="none", replicas=1, offload_optimizer=False, offload_parameters=False)
    for strategy, replicas in _sharded(scenario):
        yield whole, vary(whole, strategy=strategy, replicas=replicas)


def _offload(scenario: Scenario) -> Iterator[Sides]:
    for strategy, replicas in _sharded(scenario):
        here = vary(scenario, strategy=strategy, replicas=replicas, offload_optimizer=False, offload_parameters=False)
        yield here, vary(here, offload_optimizer=True)
        yield here, vary(here, offload_parameters=True)


def _sharded(scenario: Scenario) -> Sequence[tuple[Strategy, int]]:
    """The scenario's own sharding, with its replicas; each that there is where it has none."""
    own = scenario.sharding
    if own.strategy != "none":
        return [(own.strategy, own.replicas)]
    return [(strategy, 1) for strategy in get_args(Strategy) if strategy != "none"]


def _checkpointing(scenario: Scenario) -> Iterator[Sides]:
    yield vary(scenario, gradient_checkpointing=False), vary(scenario, gradient_checkpointing=True)


def _compiled(scenario: Scenario) -> Iterator[Sides]:
    for backend in get_args(Compiled):
        yield vary(scenario, compiled="none"), vary(scenario, compiled=backend)


def _chunked(scenario: Scenario) -> Iterator[Sides]:
    yield vary(scenario, implementation="own"), vary(scenario, implementation="linear-cross-entropy")


def _resumed(scenario: Scenario) -> Iterator[Sides]:
    if scenario.window.resume_ranks:
        raise ValueError("behind its checkpoint fewer ranks go on, so that the steps there have fewer rows")
    if scenario.window.steps < 2:
        raise ValueError("it has one step, so that nothing comes behind a checkpoint")
    at = scenario.window.resume_after or 1
    yield vary(scenario, resume_after=0), vary(scenario, resume_after=at)


def _check_windows(scenario: Scenario) -> None:
    """Raises ValueError where other micro-batches, or another order, may rightly change an update."""
    data, window = scenario.data, scenario.window
    if data.order != "given" or data.packed_length is not None:
        raise ValueError("which rows a step has is up to the framework")
    if scenario.epochs_begun > 1 or scenario.meets_last_window:
        raise ValueError("it comes to the end of an epoch, and which rows a step has there depends on the split")
    if window.resume_ranks:
        raise ValueError("behind its checkpoint fewer ranks go on, so that the steps there have fewer rows")
    if scenario.loss.auxiliary:
        raise ValueError("a router's loss is a mean over forward passes, so that the split is a part of it")
    if scenario.precision.compute == "fp16":
        raise ValueError("in fp16 it is the gradient of each micro-batch that overflows, and skips a step")


_WINDOW = ("window.ranks", "window.micro_batch_size", "window.accumulation")

RELATIONS = (
    Relation(
        "split-otherwise",
        "The same global batch, split otherwise over ranks, micro-batches and accumulation, gives the same update.",
        _split,
        _WINDOW,
    ),
    Relation(
        "rows-permuted",
        "Another order of the rows within each window gives the same update.",
        _permuted,
        ("data.rows",),
    ),
    Relation(
        "rows-doubled",
        "Every row twice in its window, in twice as many micro-batches, gives the same update.",
        _doubled,
        ("data.rows", "data.parts", "window.accumulation"),
    ),
    Relation(
        "packed",
        "Rows that share a sequence give the same update as rows that are padded.",
        _packed,
        ("data.rows_per_sequence", "data.packed_length", "window.micro_batch_size"),
    ),
    Relation(
        "stage",
        "ZeRO and FSDP, at every stage, give the same update as whole parameters on every rank.",
        _stage,
        ("sharding.strategy", "sharding.replicas"),
    ),
    Relation(
        "offload",
        "Offloading the optimizer or the parameters gives the same update as keeping them.",
        _offload,
        ("sharding.offload_optimizer", "sharding.offload_parameters"),
    ),
    Relation(
        "checkpointing",
        "Computing layers again in the backward pass gives the same update as keeping them.",
        _checkpointing,
        ("model.gradient_checkpointing",),
    ),
    Relation("chunked-loss", "A loss that keeps no logits gives the same update as a plain one.", _chunked,
             ("loss.implementation",)),
    Relation(
        "resumed",
        "A run that goes on from a checkpoint makes the same updates as one in one piece.",
        _resumed,
        ("window.resume_after",),
    ),
    Relation(
        "compiled",
        "A compiled model gives the same update as one that is not.",
        _compiled,
        ("model.compiled",),
    ),
)  # fmt: skip
"""Quick ones first: a compiled cell takes a minute."""

BY_NAME = {relation.name: relation for relation in RELATIONS}
