"""Labels as a model receives them: a Hugging Face model may be given only those of the logits that it is to make."""

from __future__ import annotations

import torch
from torch import Tensor

from adapters.contract import IGNORED_LABEL


def whole_labels(labels: Tensor, keep: int | Tensor, ids: Tensor) -> Tensor:
    """Labels as long as `ids`, [batch, length], where `labels` may be those of the kept logits alone.

    `keep` is `logits_to_keep` of a Hugging Face model: so many positions at the end of every row, 0 for all of them; or
    a mask of positions, [length], or their indices, [kept]. All rows keep the same (modeling_llama.py). The logit of a
    position predicts the token behind it, and the loss holds it against the next one of `labels` (ForCausalLMLoss in
    loss/loss_utils.py). A token that no kept logit predicts is not trained.

    Raises ValueError where `labels` have not one column for each kept logit.
    """
    if labels.shape == ids.shape:
        return labels
    kept = _kept(keep, ids.shape[1])
    if kept is None or labels.shape != (ids.shape[0], len(kept)) or (kept[:-1] + 1 == ids.shape[1]).any():
        said = keep if isinstance(keep, int) else f"a tensor of shape {list(keep.shape)}"
        raise ValueError(
            f"it cannot be told which tokens are trained: labels of shape {list(labels.shape)} do not fit input_ids of"
            f" shape {list(ids.shape)} with logits_to_keep={said}"
        )
    whole = torch.full(ids.shape, IGNORED_LABEL)
    whole[:, kept[:-1] + 1] = labels[:, 1:].cpu()
    return whole


def _kept(keep: int | Tensor, length: int) -> Tensor | None:
    """Positions whose logits are made; None where `keep` is none of what a model takes for rows of that length."""
    positions = torch.arange(length)
    if isinstance(keep, int):
        return positions[-keep:]
    try:
        return positions[keep.cpu()] if keep.dim() == 1 else None
    except IndexError:
        return None
