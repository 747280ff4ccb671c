"""Sequences as a plan packs them (`adapters.plan.Plan`): right ones, with a row too few or too many, or mixed up."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from adapters.contract import Scenario, vary
from adapters.plan import Plan


@dataclass(frozen=True)
class Repacked(Scenario):
    """A scenario whose rows are packed as planned."""

    planned: tuple[tuple[int, ...], ...] = ()

    @functools.cached_property
    def sequences(self) -> tuple[tuple[int, ...], ...]:
        return self.planned


def repacked(scenario: Scenario, how: Plan) -> Scenario:
    """The scenario, its sequences as planned where its rows are packed, or its micro-batches."""
    room = scenario.window.micro_batch_tokens
    if how.packer == "overfills":
        return scenario if room is None else vary(scenario, micro_batch_tokens=2 * room)
    if how.packer == "right" or scenario.data.packed_length is None:
        return scenario
    sequences = list(scenario.sequences)
    if how.packer == "joins":
        first, second, *rest = sequences
        return _with(scenario, [first + second, *rest])
    at = next(number for number, rows in enumerate(sequences) if len(rows) > 1)
    *others, last = sequences[at]
    sequences[at] = (*others, last, last) if how.packer == "doubles" else tuple(others)
    return _with(scenario, sequences)


def _with(scenario: Scenario, sequences: Sequence[tuple[int, ...]]) -> Scenario:
    own = {one.name: getattr(scenario, one.name) for one in fields(scenario)}
    return Repacked(**own, planned=tuple(sequences))


def tampered(batch: dict[str, Tensor], how: Plan) -> dict[str, Tensor]:
    """The batch as planned: packed conversations may see each other, positions may run on."""
    changed = dict(batch)
    if "position_ids" not in batch:
        return changed  # nothing is packed or padded on the left
    if how.attention == "leaking" and batch["attention_mask"].dim() == 4:
        mask = batch["attention_mask"]
        blocked = torch.ones(mask.shape[-2:], dtype=torch.bool).triu(1)
        changed["attention_mask"] = torch.zeros_like(mask).masked_fill(blocked, torch.finfo(mask.dtype).min)
    if how.positions == "running-on":
        changed["position_ids"] = torch.arange(batch["input_ids"].shape[1]).expand_as(batch["input_ids"])
    return changed
