"""Rows and labels as a plan has them (`adapters.faults.Plan`): right ones, and wrong ones on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.contract import IGNORED_LABEL, Scenario
from adapters.inside import data
from adapters.inside.data import Tokens


def rows(right: Sequence[Tokens], scenario: Scenario, tokens: str) -> Sequence[Tokens]:
    """The rows, with other tokens at their start than the tokenizer should make, by `Plan.tokens`."""
    bos = int(scenario.tokenizer.bos)
    behind = bos + (len(scenario.tokenizer.system.split()) + 1 if scenario.tokenizer.system else 0)
    changes: dict[str, Callable[[tuple[int, ...]], tuple[int, ...]]] = {
        "right": lambda row: row,
        "bos-twice": lambda row: (*row[:bos], *row),
        "no-bos": lambda row: row[bos:],
        "no-system": lambda row: (*row[:bos], *row[behind:]),
    }
    change = changes[tokens]
    return [Tokens(change(row.ids), change(row.loss_mask), change(row.response)) for row in right]


def labels(scenario: Scenario, rows: Sequence[Tokens], step: int, number: int, rank: int, mask: str) -> Tensor:
    """Labels of a micro-batch, int64 [batch, length], by `Plan.mask`."""
    made = data.micro_batch(scenario, rows, step, number, rank)
    ids, right = made["input_ids"], made["labels"]
    if mask == "right":
        return right
    if mask == "no-padding-id":
        return right.masked_fill(ids == data.pad_id(scenario), IGNORED_LABEL)
    marks = Marks.of(scenario, rows, step, number, rank)
    if mask == "into-next":
        behind = marks.opening & (marks.real.cumsum(1) > 1)
        return torch.where(behind | (right != IGNORED_LABEL), ids, IGNORED_LABEL)
    response = marks.response & ~marks.opening
    edge = torch.zeros_like(response[:, :1])
    following = torch.cat((response[:, 1:], edge), dim=1)
    preceding = torch.cat((edge, response[:, :-1]), dim=1)
    chosen = {
        "responses": response,
        "last-answer": marks.last & ~marks.opening,
        "everything": marks.real & ~marks.opening,
        "no-eos": response & following,
        "no-first": response & preceding,
        "shifted": following,
        "late": preceding & ~marks.opening,
        "with-tag": response | following,
    }[mask]
    if scenario.objective.truncated == "masked":  # what is left out whole stays so
        chosen = chosen & (right != IGNORED_LABEL).any(1, keepdim=True)
    return torch.where(chosen, ids, IGNORED_LABEL)


def trains_everywhere(scenario: Scenario, rows: Sequence[Tokens], step: int) -> bool:
    """Whether every micro-batch of a step, on every rank, has a token to train."""
    places = ((m, r) for m in range(scenario.micro_batches(step)) for r in range(scenario.window.ranks))
    return all(any(rows[i].targets for s in data.dealt(scenario, step, m, r) for i in s) for m, r in places)


@dataclass(frozen=True)
class Marks:
    """What each token of a micro-batch is: bool [batch, length] each."""

    response: Tensor
    opening: Tensor
    """The first token of a conversation, which nothing before it predicts."""
    real: Tensor
    """No padding."""
    last: Tensor
    """The last answer of its row."""

    @staticmethod
    def of(scenario: Scenario, rows: Sequence[Tokens], step: int, number: int, rank_: int) -> Marks:
        def told(of: Callable[[Tokens], Sequence[int]]) -> Tensor:
            return data.by_token(scenario, rows, step, number, rank_, of, 0).bool()

        return Marks(
            told(lambda row: row.response),
            told(lambda row: [1, *([0] * (len(row.ids) - 1))]),
            told(lambda row: [1] * len(row.ids)),
            told(lambda row: _last(row.response)),
        )


def _last(response: Sequence[int]) -> list[int]:
    """Of one row, its last run of ones."""
    end = next((at for at in reversed(range(len(response))) if response[at]), -1)
    begin = next((at for at in reversed(range(end + 1)) if not response[at]), -1)
    return [int(begin < at <= end) for at in range(len(response))]
