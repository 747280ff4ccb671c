"""What the output head was given for every predicted token of a step, out of what was recorded of the micro-batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.traces.batch import Conversation
from harness.traces.reader import IncompleteTrace, Trace, predicting
from harness.traces.text_files import MicroBatch

Place = tuple[int, int, int]
"""Rank, micro-batch, sequence."""


def of_step(trace: Trace, step: int, conversations: Sequence[Conversation]) -> Tensor:
    """The hidden state that predicts each token but the first of each conversation: [tokens, hidden size], float64.

    conversations: all of the step's, in their order; each may have the first token of the padding behind it.

    Raises IncompleteTrace where a rank recorded none, and UnreadableTrace.
    """
    sequences = _sequences(trace, step)
    used = dict.fromkeys(sequences, 0)
    result = []
    for c in conversations:
        place = (c.rank, c.micro_batch, c.sequence)
        begin = used[place]
        # The last token of a sequence without padding behind it predicts nothing, so that it has no state.
        result.append(sequences[place][begin : begin + len(c.ids) - 1])
        used[place] = begin + len(c.ids)
    return torch.cat(result).double()


def _sequences(trace: Trace, step: int) -> dict[Place, Tensor]:
    """The states of every sequence, token by token without padding."""
    result: dict[Place, Tensor] = {}
    for batch in trace.batches:
        if batch.step != step:
            continue
        states = trace.hidden(step, batch.rank)
        if states is None:
            raise IncompleteTrace(
                f"rank {batch.rank} did not record what the output head was given at step {step}: it could not be told"
                " which module feeds it, so that the tokens of a model without a forward pass here cannot be weighed"
            )
        for number, mine in enumerate(_cut(batch, states[batch.micro_batch])):
            result[batch.rank, batch.micro_batch, number] = mine
    return result


def _cut(batch: MicroBatch, states: Tensor) -> list[Tensor]:
    """Raises IncompleteTrace for padding between tokens: what is behind it was predicted by padding."""
    places = predicting(batch)
    for i, starts in enumerate(batch.attention_start):
        real = [j for j, start in enumerate(starts) if start != -1]
        if real and real[-1] - real[0] + 1 != len(real):
            raise IncompleteTrace(
                f"sequence {i} of micro-batch {batch.micro_batch} of rank {batch.rank} has padding between its tokens,"
                " so that their hidden states tell nothing"
            )
    owner = torch.tensor([i for i, _ in places], dtype=torch.int64)
    return [states[owner == i] for i in range(len(batch.input_ids))]
