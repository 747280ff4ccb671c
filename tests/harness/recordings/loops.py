"""Small trainings that are recorded in this process, right and wrong ones, with no line for the recorder in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn

from lockstep_recorder.settings import Settings
from lockstep_recorder.watcher import Watcher

VOCABULARY, END, PAD = 1200, 2, 0
LENGTHS = ((9, 30), (14, 5), (31, 24), (7, 22))
"""Tokens of the two texts of each micro-batch."""
PROMPT = 4


def llama(tied: bool = False) -> nn.Module:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=tied, pad_token_id=PAD, eos_token_id=END,
    )  # fmt: skip
    model: nn.Module = transformers.LlamaForCausalLM(config).train()
    return model


class Adapted(nn.Module):
    """A frozen linear layer, and beside it two small trained ones, as LoRA has it."""

    def __init__(self, base: nn.Linear, rank: int = 16, times: float = 2.0) -> None:
        super().__init__()
        self.base, self.times = base, times
        self.down = nn.Linear(base.in_features, rank, bias=False)
        self.up = nn.Linear(rank, base.out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.base(x) + self.up(self.down(x)) * self.times
        return result


def adapted(model: nn.Module, *ends: str) -> nn.Module:
    """The model, frozen but for adapters in the layers whose names end so."""
    model.requires_grad_(False)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and name.endswith(ends):
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, Adapted(module))
    return model


@dataclass(frozen=True)
class MicroBatch:
    """int64 [2, length] each."""

    ids: Tensor
    labels: Tensor
    attended: Tensor

    @property
    def trained(self) -> int:
        return int((self.labels[:, 1:] != -100).sum())


def batches(generator: torch.Generator) -> list[MicroBatch]:
    """The micro-batches of one step."""
    made = []
    for lengths in LENGTHS:
        ids = torch.full((2, max(lengths)), PAD)
        labels, attended = torch.full_like(ids, -100), torch.zeros_like(ids)
        for row, length in enumerate(lengths):
            ids[row, :length] = torch.randint(3, VOCABULARY, (length,), generator=generator)
            ids[row, length - 1] = END
            labels[row, PROMPT:length] = ids[row, PROMPT:length]
            attended[row, :length] = 1
        made.append(MicroBatch(ids, labels, attended))
    return made


Loss = Callable[[nn.Module, MicroBatch, int], Tensor]
"""Of a micro-batch, among that many trained tokens of the step."""


def summed(model: nn.Module, one: MicroBatch, _: int) -> Tensor:
    """The sum of the trained tokens' losses."""
    logits = model(input_ids=one.ids, labels=one.labels, attention_mask=one.attended).logits
    flat = logits[:, :-1].reshape(-1, VOCABULARY)
    result: Tensor = nn.functional.cross_entropy(flat, one.labels[:, 1:].reshape(-1), reduction="sum")
    return result


def token_mean(model: nn.Module, one: MicroBatch, every: int) -> Tensor:
    return summed(model, one, every) / every


def mean_of_means(model: nn.Module, one: MicroBatch, every: int) -> Tensor:
    return summed(model, one, every) / one.trained / len(LENGTHS)


def undivided(model: nn.Module, one: MicroBatch, every: int) -> Tensor:
    """A token mean that accumulation multiplies: nobody divides by it."""
    return token_mean(model, one, every) * len(LENGTHS)


def train(
    model: nn.Module,
    loss: Loss = token_mean,
    steps: int = 3,
    clip: float | None = 1.0,
    zero: bool = True,
    after: Callable[[int, nn.Module], None] = lambda number, model: None,
    rate: Callable[[int], float] = lambda step: 1e-3,
    moves: int = 0,
    eps: float = 1e-8,
    seed: int = 1,
    backwards: bool = False,
) -> None:
    """A loop as people write it; `after` is called behind each micro-batch's backward pass, and a scheduler moved that
    often in a step, if at all."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, eps=eps)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.5, 10)
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        if not moves:
            optimizer.param_groups[0]["lr"] = rate(step)
        window = batches(generator)[:: -1 if backwards else 1]
        for number, one in enumerate(window):
            loss(model, one, sum(each.trained for each in window)).backward()
            after(number, model)
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        for _ in range(moves):
            scheduler.step()
        if zero:
            optimizer.zero_grad()


def record(folder: Path, training: Callable[[], None], **settings: bool) -> Watcher:
    """Watch a training of three steps in this process, and seal what is recorded."""
    from harness.recordings.making import seal

    watcher = Watcher(Settings(str(folder), **settings))
    watcher.install()
    try:
        training()
    finally:
        watcher.end()
    seal(folder, 0)
    return watcher
