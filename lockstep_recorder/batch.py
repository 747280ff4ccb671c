"""The tokens of a model's call: which hidden state predicts which token, and what is known of it."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

IGNORED = -100
LABELS = "lockstep_labels"
"""Attribute of token ids that tells their labels, where the call of the model has none."""
TRAINED, TOLD, EOS, PADDING, CROSSING = 1, 2, 4, 8, 16
"""Bits of `Tokens.kind`: it is to be trained by the labels; there were labels; it ends a text; it is padding (the first
behind a text); it belongs to another text than the token before it."""


@dataclass(frozen=True)
class Tokens:
    """Every pair of a hidden state and the token that it predicts. All are [n], on the device of the batch."""

    place: Tensor
    """int64: index of the hidden state among all of the batch."""
    target: Tensor
    """int64: the token."""
    sequence: Tensor
    """int64: number of the text in the batch, from 0."""
    position: Tensor
    """int64: of the token in its text, from 1."""
    kind: Tensor
    """uint8."""


def received(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name."""
    try:
        signature = inspect.signature(module.forward)
        given = signature.bind_partial(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return dict(kwargs)
    for name, one in signature.parameters.items():
        if one.kind is one.VAR_KEYWORD:
            given = {**given.pop(name, {}), **given}
    return dict(given)


def under_way(module: nn.Module) -> dict[str, Any] | None:
    """The arguments of the call of a module that is under way, from the frame of it; None if there is none."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        held = frame.f_locals
        if held.get("self") is module and isinstance(held.get("kwargs"), dict) and "args" in held:
            return received(module, tuple(held["args"]), held["kwargs"])
        frame = frame.f_back
    return None


def has_ids(given: dict[str, Any]) -> bool:
    """Whether a call was given token ids."""
    ids = given.get("input_ids")
    return isinstance(ids, Tensor) and ids.dim() in (1, 2) and ids.dtype in (torch.int64, torch.int32)


def tokens(given: dict[str, Any], eos: tuple[int, ...], rows: int) -> Tokens | None:
    """The tokens of a call; None if it was given no token ids.

    eos: ids that end a text. rows: of the head; an id that has none, as those of images, is never predicted.
    """
    if not has_ids(given):
        return None
    ids = given["input_ids"]
    ids = ids.reshape(-1, ids.shape[-1])
    real = _real(given.get("attention_mask"), ids)
    text = _texts(given, ids, real)
    labels = _labels(given, ids)
    before, after = slice(0, -1), slice(1, None)
    kind = torch.zeros_like(ids[:, after], dtype=torch.uint8)
    kind = kind | (TOLD if labels is not None else 0)
    if labels is not None:
        kind = kind | (labels[:, after] != IGNORED).to(torch.uint8) * TRAINED
    ends = torch.zeros_like(ids, dtype=torch.bool)
    for one in eos:
        ends |= ids == one
    kind = kind | ends[:, after].to(torch.uint8) * EOS
    kind = kind | (~real[:, after]).to(torch.uint8) * PADDING
    crossing = (text[:, after] != text[:, before]) & real[:, after]
    kind = kind | crossing.to(torch.uint8) * CROSSING
    place = torch.arange(ids.numel(), device=ids.device).view_as(ids)[:, before]
    kept = real[:, before] & (ids[:, after] >= 0) & (ids[:, after] < rows)
    number, position = _numbered(text, real)
    return Tokens(
        place[kept],
        ids[:, after][kept].long(),
        number[:, before][kept],
        position[:, before][kept] + 1,
        kind[kept],
    )


def _real(mask: Any, ids: Tensor) -> Tensor:
    """Which tokens are no padding: bool like the ids."""
    if isinstance(mask, Tensor) and mask.dim() == 2 and mask.shape == ids.shape:
        return mask != 0
    return torch.ones_like(ids, dtype=torch.bool)


def _texts(given: dict[str, Any], ids: Tensor, real: Tensor) -> Tensor:
    """A number for each text: int64 like the ids; texts are rows, cut where positions begin again."""
    row = torch.arange(len(ids), device=ids.device)[:, None].expand_as(ids) * ids.shape[1]
    positions = given.get("position_ids")
    if isinstance(positions, Tensor) and positions.dim() == 2 and positions.shape[-1] == ids.shape[-1]:
        starts = (positions.expand_as(ids) == 0) & real
        starts[:, 0] = False
        return row + starts.long().cumsum(1)
    lengths = given.get("cu_seq_lens_q")
    if isinstance(lengths, Tensor) and len(ids) == 1:
        starts = torch.zeros_like(ids, dtype=torch.bool)
        inner = lengths[(lengths > 0) & (lengths < ids.shape[1])].long()
        starts[0, inner] = True
        return row + starts.long().cumsum(1)
    return row.clone()


def _numbered(text: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Texts from 0 without a gap, and each token's position in its text: int64 like `text`."""
    _, number = torch.unique(text, return_inverse=True)
    index = torch.arange(text.shape[1], device=text.device).expand_as(text)
    begins = torch.full((int(number.max()) + 1,), text.shape[1], device=text.device)
    begins = begins.scatter_reduce(0, number[real], index[real], "amin")
    return number, index - begins[number]


def _labels(given: dict[str, Any], ids: Tensor) -> Tensor | None:
    labels = given.get("labels")
    labels = getattr(given["input_ids"], LABELS, None) if labels is None else labels
    if isinstance(labels, Tensor) and labels.numel() == ids.numel():
        return labels.reshape_as(ids)
    shifted = given.get("shift_labels")
    if isinstance(shifted, Tensor) and shifted.numel() == ids.numel():
        return torch.cat((torch.full_like(ids[:, :1], IGNORED), shifted.reshape_as(ids)[:, :-1]), dim=1)
    return _of_kept(labels, given.get("logits_to_keep"), ids) if isinstance(labels, Tensor) else None


def _of_kept(labels: Tensor, keep: Any, ids: Tensor) -> Tensor | None:
    """Labels of the logits alone that a model of transformers is told to make, each at the token that is predicted.

    keep: so many at the end of every row, or a mask or indices of positions. None where the labels do not fit.
    """
    places = torch.arange(ids.shape[1], device=ids.device)
    if isinstance(keep, int):
        places = places[-keep:]
    elif isinstance(keep, Tensor) and keep.dim() == 1 and (keep.dtype != torch.bool or keep.shape == places.shape):
        places = places[keep]
    if labels.shape != (len(ids), len(places)) or (places[:-1] + 1 == ids.shape[1]).any():
        return None
    whole = torch.full_like(ids, IGNORED, dtype=labels.dtype)
    whole[:, places[:-1] + 1] = labels[:, 1:]
    return whole
