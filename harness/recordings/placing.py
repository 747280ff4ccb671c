"""The texts of a step with their tokens, as the oracle's hypotheses want them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.oracle.step import Slot
from harness.recordings.roles import Places
from harness.traces.batch import Conversation
from lockstep_recorder.batch import CROSSING, PADDING


@dataclass(frozen=True)
class Placed:
    """Texts and their predicted tokens."""

    conversations: tuple[Conversation, ...]
    slots: tuple[Slot, ...]
    behind: tuple[bool, ...]
    """Whether each slot is behind its text: padding, or the next text's first token. Nobody wants those trained."""


def place(places: Places, column: Tensor, trained: Tensor, heavy: Tensor) -> Placed:
    """column: int64 [T], the unknown of each token. trained, heavy: bool [T], whether it is to be, and was.

    What is behind the texts has a slot only where any of it was trained.
    """
    behind = (places.kind & (PADDING | CROSSING)) != 0
    shown = torch.ones_like(behind) if bool((behind & heavy).any()) else ~behind
    conversations: list[Conversation] = []
    slots: list[Slot] = []
    order, sizes = places.text.argsort(stable=True), torch.bincount(places.text).tolist()
    beyond: list[bool] = []
    for i, every in enumerate(torch.split(order, sizes)):
        mine = every[shown[every]]
        marks = (False, *trained[mine].tolist())
        rank, micro_batch = int(places.rank[every[0]]), int(places.micro_batch[every[0]])
        unknown = (0,) * len(marks)  # whose token ids nobody has kept
        conversations.append(Conversation(rank, micro_batch, i, i, unknown, marks, marks, None, None, unknown))
        slots += [Slot(i, t, c, marks[t]) for t, c in enumerate(column[mine].tolist(), 1)]
        beyond += behind[mine].tolist()
    return Placed(tuple(conversations), tuple(slots), tuple(beyond))
