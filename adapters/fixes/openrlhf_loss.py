"""OpenRLHF 0.9.9 to 0.10.3: the loss is the mean over all tokens of an optimizer step, whatever the parts it comes in.

`SFTTrainer.fit` (trainer/sft_trainer.py) averages over the tokens of one micro-batch (of all ranks in 0.10.3), and
DeepSpeed averages those means, so that a token weighs more the fewer stand beside it. Here the loader is read an
optimizer step ahead, the tokens of all its micro-batches are counted over the data-parallel ranks, and the loss is the
sum of token losses over that count. Evaluation is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import islice
from typing import Any

import torch
from openrlhf.trainer.sft_trainer import SFTTrainer
from packaging.version import Version
from torch import Tensor

OLDEST, NEWEST = Version("0.9.9"), Version("0.10.3")


class Counted:
    """A loader that counts the tokens of an optimizer step before it hands out the first of its micro-batches."""

    def __init__(self, loader: Any, strategy: Any, device: torch.device) -> None:
        self.sampler = loader.sampler
        self.tokens_a_share = 0.0
        """Tokens of the step for each of the losses that DeepSpeed averages: one a rank and micro-batch."""
        self._loader = loader
        self._window: int = strategy.accumulated_gradient
        self._group = strategy.ds_device_mesh["dp"].get_group()
        self._device = device

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self._loader)
        while window := list(islice(batches, self._window)):
            self.tokens_a_share = self._count(window)
            yield from window

    def _count(self, window: list[Any]) -> float:
        # as `fit` cuts the masks: nothing comes after a row's last token
        tokens = [masks.squeeze(1)[:, :-1].sum(dtype=torch.float64) for _, _, masks in window]
        total = torch.stack(tokens).sum().to(self._device)
        torch.distributed.all_reduce(total, group=self._group)
        return float(total) / (len(window) * torch.distributed.get_world_size(self._group))


def apply() -> None:
    """Change the supervised trainer. Raises RuntimeError for another release of OpenRLHF."""
    installed = version("openrlhf")
    if not OLDEST <= Version(Version(installed).public) <= NEWEST:
        raise RuntimeError(f"openrlhf-loss is for openrlhf {OLDEST} to {NEWEST}, not {installed}")
    fit = SFTTrainer.fit

    def fit_counted(self: Any, *args: Any, **kwargs: Any) -> None:
        device = next(self.model.parameters()).device
        self.train_dataloader = Counted(self.train_dataloader, self.strategy, device)
        self.loss_fn = over_all(self.train_dataloader, self.loss_fn)
        fit(self, *args, **kwargs)

    SFTTrainer.fit = fit_counted


def over_all(counted: Counted, one_batch: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The loss over the whole step while training; `one_batch`, the trainer's own, where nothing is trained."""

    def loss(per_token_logps: Tensor, loss_mask: Tensor, **kwargs: Any) -> Tensor:
        if not torch.is_grad_enabled():
            return one_batch(per_token_logps, loss_mask, **kwargs)
        return (-per_token_logps * loss_mask).sum() / counted.tokens_a_share

    return loss
