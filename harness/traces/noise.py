"""What training added to the embedding's output (NEFTune): out of what was recorded, for every conversation.

Training draws it by a seed of its own, so that nobody else can know it: it is read, and held against what it should be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from harness.traces.added import Noise
from harness.traces.batch import Conversation
from harness.traces.reader import PADDING, IncompleteTrace, Trace
from harness.traces.text_files import MicroBatch

Place = tuple[int, int, int]
"""Rank, micro-batch, sequence."""


def of_step(
    trace: Trace, step: int, embedding: Tensor, conversations: Sequence[Conversation]
) -> Sequence[Conversation]:
    """The step's conversations, in their order, each with what was added to it; as they are where none was recorded.

    embedding: [vocabulary, hidden size], the parameter before the step.

    Raises IncompleteTrace where the scenario asks for noise and a rank recorded none, and UnreadableTrace.
    """
    found = _of_sequences(trace, step, embedding)
    if not found:
        return conversations
    used, result = dict.fromkeys(found, 0), []
    for number, c in enumerate(conversations, 1):
        place = (c.rank, c.micro_batch, c.sequence)
        if place not in found:
            result.append(c)
            continue
        begin = used[place]
        used[place] = end = begin + len(c.ids)
        result.append(replace(c, noise=replace(found[place], values=found[place].values[begin:end], number=number)))
    return result


def _of_sequences(trace: Trace, step: int, embedding: Tensor) -> Mapping[Place, Noise]:
    """All tokens of every sequence together."""
    result: dict[Place, Noise] = {}
    for batch in (b for b in trace.batches if b.step == step):
        found = trace.embedded(step, batch.rank)
        if found is None and trace.scenario.model.neftune_alpha:
            raise IncompleteTrace(
                f"rank {batch.rank} did not record what the first layer was given of the embedding at step {step}: what"
                " noise was added to it (model.neftune_alpha) is unknown, and so is what follows from it"
            )
        if found is not None:
            given, scale = found
            for i, one in enumerate(_sequences(batch, given[batch.micro_batch], embedding, scale)):
                result[batch.rank, batch.micro_batch, i] = one
    return result


def _sequences(batch: MicroBatch, given: Tensor, embedding: Tensor, scale: float) -> list[Noise]:
    """One for every sequence. An embedding is looked up, and scaled, in the dtype of what it gives."""
    shape, at, result = (len(batch.input_ids), len(batch.input_ids[0])), 0, []
    for ids, starts in zip(batch.input_ids, batch.attention_start, strict=True):
        real = torch.tensor([i for i, start in zip(ids, starts, strict=True) if start != PADDING], dtype=torch.int64)
        mine = given[at : at + len(real)]
        at += len(real)
        plain = embedding[real].to(given.dtype) * torch.tensor(scale, dtype=given.dtype)
        values = mine.double() - plain.double()
        unit = torch.finfo(given.dtype).eps * float(mine.abs().max()) if len(real) else 0.0
        result.append(Noise(values, 0, *shape, len(real), unit, scale))
    return result
