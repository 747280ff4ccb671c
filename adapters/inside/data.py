"""The scenario's batches, for adapters that drive their own loop: rows, padding, packing, labels, target counts."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DistributedSampler

from adapters.contract import IGNORED_LABEL, Job, Scenario

PAD = "<pad>"


@dataclass(frozen=True)
class Tokens:
    """A conversation as the checkpoint's `rows.jsonl` has it."""

    ids: tuple[int, ...]
    loss_mask: tuple[int, ...]

    @property
    def targets(self) -> int:
        """Tokens that are predicted and trained; the first one has nothing before it to be predicted from."""
        return sum(self.loss_mask[1:])

    @property
    def labels(self) -> list[int]:
        """Unshifted labels, as Hugging Face models take them."""
        rest = zip(self.ids[1:], self.loss_mask[1:], strict=True)
        return [IGNORED_LABEL, *(token if trained else IGNORED_LABEL for token, trained in rest)]


def load_rows(job: Job) -> list[Tokens]:
    """The rows of the job's checkpoint, in the order of training."""
    lines = (Path(job.checkpoint) / "rows.jsonl").read_text().splitlines()
    return [Tokens(tuple(row["input_ids"]), tuple(row["loss_mask"])) for row in map(json.loads, lines)]


def targets_in_step(scenario: Scenario, rows: Sequence[Tokens], step: int) -> int:
    """Trained tokens of the whole global batch of optimizer step `step`."""
    places = [(m, r) for m in range(scenario.micro_batches(step)) for r in range(scenario.window.ranks)]
    return sum(rows[i].targets for m, r in places for sequence in dealt(scenario, step, m, r) for i in sequence)


def dealt(scenario: Scenario, step: int, micro_batch: int, rank: int) -> list[list[int]]:
    """Indices into the rows: one list for each sequence of this micro-batch.

    Where the order is to be drawn, it is that of torch's DistributedSampler, told of the epoch as its documentation has
    it, which then deals it to the ranks.
    """
    places = scenario.sequence_rows(step, micro_batch, rank)
    if scenario.data.order == "given":
        return places
    order = drawn(len(scenario.data.rows), scenario.seed, scenario.dealing.epoch(step, micro_batch))
    return [[order[place] for place in sequence] for sequence in places]


@functools.lru_cache(maxsize=16)
def drawn(count: int, seed: int, epoch: int) -> tuple[int, ...]:
    """The order of so many rows in an epoch."""
    rows: Any = range(count)
    sampler: Any = DistributedSampler(rows, num_replicas=1, rank=0, shuffle=True, seed=seed)
    sampler.set_epoch(epoch)
    return tuple(sampler)


def micro_batch(
    scenario: Scenario, rows: Sequence[Tokens], step: int, micro_batch: int, rank: int
) -> dict[str, Tensor]:
    """Keyword arguments for a Hugging Face model: [batch, length] tensors, padded on the right to the longest.

    Unpacked: `input_ids`, `labels`, `attention_mask` (1 or 0). Packed: `attention_mask` is [batch, 1, length, length],
    float32, 0 where a token may attend and the lowest float elsewhere (what eager attention adds), and `position_ids`
    restart with each conversation.
    """
    sequences = [[rows[i] for i in row] for row in dealt(scenario, step, micro_batch, rank)]
    pad = scenario.tokenizer.vocabulary.index(PAD)
    ids = _pad([[t for row in s for t in row.ids] for s in sequences], pad)
    labels = _pad([[t for row in s for t in row.labels] for s in sequences], IGNORED_LABEL)
    if scenario.data.rows_per_sequence == 1:
        mask = _pad([[1] * len(s[0].ids) for s in sequences], 0)
        return {"input_ids": ids, "labels": labels, "attention_mask": mask}
    positions = _pad([[p for row in s for p in range(len(row.ids))] for s in sequences], 0)
    owner = _pad([[i for i, row in enumerate(s) for _ in row.ids] for s in sequences], -1)
    return {"input_ids": ids, "labels": labels, "attention_mask": _block_mask(owner), "position_ids": positions}


def _pad(sequences: list[list[int]], value: int) -> Tensor:
    longest = max(map(len, sequences))
    return torch.tensor([s + [value] * (longest - len(s)) for s in sequences])


def _block_mask(owner: Tensor) -> Tensor:
    """Additive mask from [batch, length] conversation numbers. Padding attends to padding: no row may be empty."""
    same = owner[:, :, None] == owner[:, None, :]
    causal = torch.ones(owner.shape[1], owner.shape[1], dtype=torch.bool).tril()
    blocked = torch.finfo(torch.float32).min
    return torch.zeros(same.shape).masked_fill(~(same & causal), blocked)[:, None]
