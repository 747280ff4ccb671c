"""The scenario's batches, for adapters that drive their own loop: rows, padding, packing, labels, target counts."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DistributedSampler

from adapters.contract import IGNORED_LABEL, Job, Scenario

PAD = {"own": "<pad>", "eos": "<eos>", "none": "<eos>"}
"""What rows are filled up with, by the scenario's `pad_token`."""


@dataclass(frozen=True)
class Tokens:
    """A conversation as the checkpoint's `rows.jsonl` has it."""

    ids: tuple[int, ...]
    loss_mask: tuple[int, ...]
    """1 for every token that is to be trained."""
    response: tuple[int, ...]
    """1 for every token of a response."""

    @property
    def targets(self) -> int:
        """Tokens that are predicted and trained; the first one has nothing before it to be predicted from."""
        return sum(self.loss_mask[1:])

    @property
    def labels(self) -> list[int]:
        """Unshifted labels, as Hugging Face models take them."""
        rest = zip(self.ids[1:], self.loss_mask[1:], strict=True)
        return [IGNORED_LABEL, *(token if trained else IGNORED_LABEL for token, trained in rest)]


def pad_id(scenario: Scenario) -> int:
    """The token that rows are filled up with."""
    return scenario.tokenizer.vocabulary.index(PAD[scenario.tokenizer.pad_token])


def load_rows(job: Job) -> list[Tokens]:
    """The rows of the job's checkpoint, in the order of training."""
    lines = (Path(job.checkpoint) / "rows.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    made = [Tokens(tuple(row["input_ids"]), tuple(row["loss_mask"]), tuple(row["response"])) for row in rows]
    datasets: list[Any] = [made[part.start : part.stop] for part in job.scenario.data.datasets]
    every = ConcatDataset[Tokens](datasets)
    return [every[place] for place in range(len(every))]


def targets_in_step(scenario: Scenario, rows: Sequence[Tokens], step: int) -> int:
    """Trained tokens of the whole global batch of optimizer step `step`."""
    places = [(m, r) for m in range(scenario.micro_batches(step)) for r in range(scenario.window.ranks)]
    return sum(rows[i].targets for m, r in places for sequence in dealt(scenario, step, m, r) for i in sequence)


def dealt(scenario: Scenario, step: int, micro_batch: int, rank: int) -> list[list[int]]:
    """Indices into the rows: one list for each sequence of this micro-batch.

    Where the order is to be drawn, it is that of torch's DistributedSampler, told of the epoch as its documentation has
    it, which then deals it to the ranks.
    """
    if scenario.data.order == "given":
        return scenario.sequence_rows(step, micro_batch, rank)
    epoch = scenario.dealing.epoch(step, micro_batch)
    if scenario.data.packed_length is not None:  # packed once, so that whole sequences are drawn
        places = drawn(len(scenario.sequences), scenario.seed, epoch)
        dealt = scenario.dealing.micro_batch(step, micro_batch, rank)
        return [list(scenario.sequences[places[place]]) for place in dealt]
    rows = order(scenario, epoch)
    return [[rows[place] for place in sequence] for sequence in scenario.sequence_rows(step, micro_batch, rank)]


def order(scenario: Scenario, epoch: int) -> Sequence[int]:
    """The rows of an epoch in the order that is drawn for it; by length, groups of them have the longest first.

    A group is so long as transformers makes it (`get_length_grouped_indices` in trainer_pt_utils.py): a quarter of the
    epoch, in whole batches of what a rank has in a step.
    """
    found = drawn(len(scenario.data.rows), scenario.seed, epoch)
    if scenario.data.order != "by-length":
        return found
    lengths = [scenario.tokens(row) for row in scenario.data.rows]
    batch = scenario.window.micro_batch_size * scenario.window.accumulation
    together = batch * min(max(len(found) // (4 * batch), 1), 50)
    groups = (found[at : at + together] for at in range(0, len(found), together))
    return [row for group in groups for row in sorted(group, key=lambda row: -lengths[row])]


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
    """Keyword arguments for a Hugging Face model: [batch, length] tensors, padded to the longest.

    Unpacked: `input_ids`, `labels`, `attention_mask` (1 or 0), and with padding on the left `position_ids`, which count
    a row's own tokens. Packed: `attention_mask` is [batch, 1, length, length], float32, 0 where a token may attend and
    the lowest float elsewhere (what eager attention adds), and `position_ids` restart with each conversation.
    """

    def told(of: Callable[[Tokens], Sequence[int]], padding: int) -> Tensor:
        return by_token(scenario, rows, step, micro_batch, rank, of, padding)

    made = {
        "input_ids": told(lambda row: row.ids, pad_id(scenario)),
        "labels": told(lambda row: row.labels, IGNORED_LABEL),
    }
    positions = told(lambda row: range(len(row.ids)), 0)
    if scenario.data.packs:
        owner = _owners(scenario, rows, dealt(scenario, step, micro_batch, rank))
        return {**made, "attention_mask": _block_mask(owner), "position_ids": positions}
    made["attention_mask"] = told(lambda row: [1] * len(row.ids), 0)
    return {**made, "position_ids": positions} if scenario.tokenizer.padding_side == "left" else made


def by_token(
    scenario: Scenario,
    rows: Sequence[Tokens],
    step: int,
    micro_batch: int,
    rank: int,
    of: Callable[[Tokens], Sequence[int]],
    padding: int,
) -> Tensor:
    """What `of` tells of every token of a row, for each sequence of a micro-batch: int64 [batch, length]."""
    told = [[v for i in row for v in of(rows[i])] for row in dealt(scenario, step, micro_batch, rank)]
    return _pad(told, padding, left=scenario.tokenizer.padding_side == "left")


def _owners(scenario: Scenario, rows: Sequence[Tokens], sequences: Sequence[Sequence[int]]) -> Tensor:
    """Number of the conversation in its sequence that each token is of, -1 for padding: [batch, length]."""
    told = [[n for n, i in enumerate(row) for _ in rows[i].ids] for row in sequences]
    return _pad(told, -1, left=scenario.tokenizer.padding_side == "left")


def _pad(sequences: list[list[int]], value: int, left: bool) -> Tensor:
    longest = max(map(len, sequences))
    fills = [[value] * (longest - len(s)) for s in sequences]
    return torch.tensor([f + s if left else s + f for s, f in zip(sequences, fills, strict=True)])


def _block_mask(owner: Tensor) -> Tensor:
    """Additive mask from [batch, length] conversation numbers. Padding attends to padding: no row may be empty."""
    same = owner[:, :, None] == owner[:, None, :]
    causal = torch.ones(owner.shape[1], owner.shape[1], dtype=torch.bool).tril()
    blocked = torch.finfo(torch.float32).min
    return torch.zeros(same.shape).masked_fill(~(same & causal), blocked)[:, None]
