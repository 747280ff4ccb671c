"""The global batch of a step as the model really received it, conversation by conversation."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import cycle

from adapters.contract import Scenario
from harness.traces.added import Noise
from harness.traces.text_files import MicroBatch
from scenarios import rendering, text


@dataclass(frozen=True)
class Conversation:
    """One conversation of a micro-batch, padding removed."""

    rank: int
    micro_batch: int
    sequence: int
    row: int | None
    """Index into the scenario's rows; None for tokens that are no row of it."""
    ids: tuple[int, ...]
    response: tuple[bool, ...]
    """Which tokens are a response's: by the scenario's row, else by what was recorded."""
    trained: tuple[bool, ...]
    """The right loss mask: the responses, as long as nobody wants other tokens trained (`harness.oracle.masks`)."""
    marked: tuple[bool, ...] | None
    """The loss mask as the model received it; None if the framework hands none to the model."""
    positions: tuple[int, ...] | None
    """As received; None if the model makes its own."""
    reach: tuple[int, ...]
    """First token that each token may attend to, counted from this conversation's start; negative if before it."""
    padded: bool = False
    """Whether padding follows it."""
    follows: bool = False
    """Whether another one is before it in its sequence."""
    behind: tuple[int, bool | None] | None = None
    """The first token of the one behind it in its sequence, and whether that is marked; None if it is the last."""
    into_next: bool = False
    """Whether its last token is that of the one behind it (`with_next`)."""
    altered: str | None = None
    """What is wrong with tokens that are no row, where that is known (`scenarios.rendering.altered`)."""

    last_lost: bool = False
    """Whether its row is cut off before its last answer."""
    noise: Noise | None = field(default=None, repr=False)
    """What was added to its embedding, as far as that was recorded."""

    @property
    def place(self) -> tuple[int, int]:
        return self.rank, self.micro_batch

    @property
    def targets(self) -> int:
        """Tokens to be trained; the first token of all has no prediction."""
        return sum(self.trained[1:])


@functools.lru_cache(maxsize=4)
def right_rows(scenario: Scenario) -> tuple[text.Rendered, ...]:
    """Every row of the scenario as the tokens it should be."""
    return tuple(rendering.rendered(scenario))


@functools.lru_cache(maxsize=4)
def _lost(scenario: Scenario) -> tuple[bool, ...]:
    return tuple(rendering.without_last(scenario))


@dataclass(frozen=True)
class _Known:
    """The scenario's rows, to be found by their tokens."""

    rows: tuple[text.Rendered, ...]
    index: Mapping[tuple[int, ...], int]
    """Of several rows of equal tokens the last."""
    lengths: tuple[int, ...]
    """The longest first."""


@functools.lru_cache(maxsize=4)
def _altered(scenario: Scenario) -> dict[tuple[int, ...], tuple[str, text.Rendered]]:
    """What is wrong with a sequence of tokens that is nearly a row, and the responses in it."""
    made = rendering.altered(scenario).items()
    return {row.ids: (name, row) for name, rows in reversed(made) for row in rows}


@functools.lru_cache(maxsize=4)
def _hidden(scenario: Scenario) -> dict[tuple[int, ...], tuple[int, ...]]:
    """Completions that are not to be trained, by what is before them: who masks them may hide them from the model too,
    which changes nothing of the step."""
    if scenario.objective.truncated != "masked":
        return {}
    eos, found = text.SPECIAL.index(text.EOS), defaultdict(list)
    for number, row in enumerate(right_rows(scenario)):
        if row.ids[-1] != eos:
            found[row.ids[: row.loss_mask.index(True)]].append(number)
    return {ids: tuple(rows) for ids, rows in found.items()}


def _known(scenario: Scenario) -> _Known:
    rows = right_rows(scenario)
    index = {ids: hidden[-1] for ids, hidden in _hidden(scenario).items()}
    index |= {row.ids: i for i, row in enumerate(rows)}
    return _Known(rows, index, tuple(sorted({len(ids) for ids in index}, reverse=True)))


def _split(ids: tuple[int, ...], known: _Known) -> list[tuple[int, int | None]]:
    """Cut a sequence into (length, row): known rows one after the other, or all of it as one foreign piece."""
    pieces: list[tuple[int, int | None]] = []
    at = 0
    while at < len(ids):
        # Of two rows that fit, as where one is how the other begins, the longer one is taken.
        fits = (n for n in known.lengths if at + n <= len(ids) and ids[at : at + n] in known.index)
        length = next(fits, None)
        if length is None:
            return [(len(ids), None)]
        pieces.append((length, known.index[ids[at : at + length]]))
        at += length
    return pieces


def _sequence(batch: MicroBatch, number: int, known: _Known, scenario: Scenario) -> Iterator[Conversation]:
    start = batch.attention_start[number]
    real = [i for i in range(len(start)) if start[i] != -1]

    def pick(values: list[list[int]] | None) -> list[int] | None:
        if values is None:
            return None
        # Positions may be given once for all sequences, as torch broadcasts them.
        mine = values[0] if len(values) == 1 else values[number]
        return [mine[i] for i in real]

    ids = tuple(pick(batch.input_ids) or ())
    marks, positions = pick(batch.loss_mask), pick(batch.position_ids)
    ends_in_padding = bool(real) and real[-1] + 1 < len(start)
    offset = {token: i for i, token in enumerate(real)}
    reach = [offset.get(start[i], -1) for i in real]
    at, lost = 0, _lost(scenario)
    for length, row in _split(ids, known):
        end = at + length
        marked = None if marks is None else tuple(bool(m) for m in marks[at:end])
        near = _altered(scenario).get(ids[at:end]) if row is None else None
        guess = near[1].loss_mask if near is not None else (True,) * length
        right = known.rows[row].loss_mask[:length] if row is not None else marked or guess
        yield Conversation(
            rank=batch.rank,
            micro_batch=batch.micro_batch,
            sequence=number,
            row=row,
            ids=ids[at:end],
            response=right,
            trained=right,
            marked=marked,
            positions=None if positions is None else tuple(positions[at:end]),
            reach=tuple(r - at for r in reach[at:end]),
            padded=ends_in_padding and end == len(ids),
            follows=at > 0,
            behind=(ids[end], None if marks is None else bool(marks[end])) if end < len(ids) else None,
            altered=None if near is None else near[0],
            last_lost=row is not None and lost[row],
        )
        at = end


def conversations(scenario: Scenario, batches: Iterable[MicroBatch]) -> list[Conversation]:
    """Every conversation of these micro-batches, in their order."""
    known = _known(scenario)
    turns = {ids: cycle(rows) for ids, rows in _hidden(scenario).items()}
    return [
        replace(c, row=next(turns[c.ids])) if c.row is not None and c.ids in turns else c
        for batch in batches
        for number in range(len(batch.input_ids))
        for c in _sequence(batch, number, known, scenario)
    ]


def with_padding(c: Conversation, pad: int) -> Conversation:
    """The conversation and the first token of the padding behind it, if there is any."""
    return _longer(c, pad, False) if c.padded else c


def with_next(c: Conversation) -> Conversation:
    """The conversation and the first token of the one behind it in its sequence, if there is one."""
    return c if c.behind is None else replace(_longer(c, *c.behind), into_next=True)


def _longer(c: Conversation, token: int, marked: bool | None) -> Conversation:
    return replace(
        c,
        ids=(*c.ids, token),
        response=(*c.response, False),
        trained=(*c.trained, False),
        marked=None if c.marked is None else (*c.marked, bool(marked)),
        positions=None if c.positions is None else (*c.positions, len(c.ids)),
        reach=(*c.reach, 0),
    )
