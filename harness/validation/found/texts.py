"""The texts of a recording: their token ids, and which of them are trained by the labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.recordings.reader import Recording
from lockstep_recorder.batch import CROSSING, PADDING, TOLD, TRAINED


@dataclass(frozen=True)
class Text:
    """One of them, without its first token, which nothing predicts."""

    ids: tuple[int, ...]
    trained: tuple[bool, ...]
    told: bool
    """Whether labels say which."""
    length: int
    """Tokens, with the first."""

    def ends(self) -> Iterator[tuple[int, int]]:
        """First and last place of every run of trained tokens."""
        begun = None
        for at, one in enumerate((*self.trained, False)):
            if one and begun is None:
                begun = at
            elif not one and begun is not None:
                yield begun, at - 1
                begun = None


def of(recording: Recording) -> list[Text]:
    """Each once, of all watched steps. None of a recording that has no token ids."""
    found = [text for parts in recording.steps.values() for part in parts for text in _of_tensors(part.tensors)]
    return list(dict.fromkeys(found))


def _of_tensors(tensors: Mapping[str, Tensor]) -> Iterator[Text]:
    """Of one rank in one step."""
    if "token/target" not in tensors:
        return
    number, text, target, kind = (tensors[f"token/{name}"] for name in ("pass", "text", "target", "kind"))
    kind = kind.long()
    inside = (kind & (PADDING | CROSSING)) == 0
    for place in torch.unique(torch.stack((number, text)), dim=1).T.tolist():
        own = (number == place[0]) & (text == place[1]) & inside
        kinds = kind[own]
        yield Text(
            tuple(target[own].tolist()),
            tuple(((kinds & TRAINED) != 0).tolist()),
            bool(((kinds & TOLD) != 0).all()) and len(kinds) > 0,
            int(own.sum()) + 1,
        )
