"""Right trainings of many set-ups, drawn from a seed: models, batches, precision and optimizers of all kinds."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import Tensor, nn

END, PAD = 2, 0
IGNORED = -100


@dataclass(frozen=True)
class Setup:
    """What is drawn."""

    seed: int
    model: str
    vocabulary: int
    accumulation: int
    rows: int
    """Of a micro-batch."""
    clip: float | None
    lengths: tuple[int, int]
    """Shortest and longest text."""
    layout: str
    """`right` or `left` padded, or `packed` by positions."""
    checkpointing: bool
    autocast: bool
    labels: bool
    """Whether the model gets them."""
    prompts: bool
    """Whether the texts begin with a prompt, which is not trained."""
    decay: tuple[float, float]
    """Of matrices and of the rest."""
    warmup: int
    betas: tuple[float, float]
    tied: bool
    level: str
    """`token` or `micro-batch`: what is averaged by itself."""
    dropout: float


def drawn(seed: int) -> Setup:
    """The set-up of a seed."""
    draw = random.Random(seed)
    shortest = draw.choice((2, 5, 20))
    return Setup(
        seed=seed,
        model=sorted(MODELS)[seed % len(MODELS)],
        vocabulary=draw.choice((400, 1201)),
        accumulation=draw.randint(1, 4),
        rows=draw.randint(1, 3),
        clip=draw.choice((None, 0.1, 1.0, 100.0)),
        lengths=(shortest, shortest + draw.choice((0, 7, 40))),
        layout=draw.choice(("right", "right", "left", "packed")),
        checkpointing=draw.random() < 0.3,
        autocast=draw.random() < 0.3,
        labels=draw.random() < 0.7,
        prompts=draw.random() < 0.7,
        decay=draw.choice(((0.0, 0.0), (0.01, 0.01), (0.1, 0.0))),
        warmup=draw.choice((0, 0, 2, 10)),
        betas=draw.choice(((0.9, 0.999), (0.9, 0.95), (0.8, 0.99))),
        tied=draw.random() < 0.3,
        level=draw.choice(("token", "token", "micro-batch")),
        dropout=draw.choice((0.0, 0.0, 0.1)),
    )


def _common(setup: Setup) -> dict[str, Any]:
    return {
        "vocab_size": setup.vocabulary, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "tie_word_embeddings": setup.tied, "pad_token_id": PAD, "eos_token_id": END, "bos_token_id": 1,
        "attention_dropout": setup.dropout,
    }  # fmt: skip


_WIDE = {"intermediate_size": 48, "num_key_value_heads": 2}


def _gpt2(setup: Setup) -> nn.Module:
    config = transformers.GPT2Config(
        vocab_size=setup.vocabulary, n_embd=32, n_layer=2, n_head=4, pad_token_id=PAD, eos_token_id=END,
        tie_word_embeddings=setup.tied, resid_pdrop=setup.dropout, embd_pdrop=setup.dropout, attn_pdrop=setup.dropout,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


def _model(name: str, **more: Any) -> Callable[[Setup], nn.Module]:
    def make(setup: Setup) -> nn.Module:
        config = getattr(transformers, f"{name}Config")(**_common(setup), **_WIDE, **more)
        model: nn.Module = getattr(transformers, f"{name}ForCausalLM")(config)
        return model

    return make


MODELS: dict[str, Callable[[Setup], nn.Module]] = {
    "llama": _model("Llama"),
    "qwen2": _model("Qwen2"),
    "qwen3": _model("Qwen3", head_dim=8),
    "gpt2": _gpt2,
    "gemma2": _model("Gemma2", head_dim=8),
    "mixtral": _model("Mixtral", num_local_experts=4),
}


def model_of(setup: Setup) -> nn.Module:
    torch.manual_seed(setup.seed)
    model = MODELS[setup.model](setup).train()
    if setup.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def _texts(setup: Setup, draw: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Ids and labels of each text of a micro-batch."""
    made = []
    for _ in range(setup.rows):
        length = int(torch.randint(setup.lengths[0], setup.lengths[1] + 1, (1,), generator=draw))
        ids = torch.randint(3, setup.vocabulary, (length,), generator=draw)
        ids[-1] = END
        labels = ids.clone()
        # Nothing predicts the first token but padding to its left, if there is any.
        labels[: max(1, length // 3 if setup.prompts else 0)] = IGNORED
        made.append((ids, labels))
    return made


def batch(setup: Setup, draw: torch.Generator) -> dict[str, Tensor]:
    """`input_ids`, `labels`, `attention_mask` and `position_ids`, those that the layout has: int64 [rows, length]."""
    texts = _texts(setup, draw)
    if setup.layout == "packed":
        made = {
            "input_ids": torch.cat([ids for ids, _ in texts]),
            "labels": torch.cat([labels for _, labels in texts]),
            "position_ids": torch.cat([torch.arange(len(ids)) for ids, _ in texts]),
        }
        return {name: one[None] for name, one in made.items()}
    longest = max(len(ids) for ids, _ in texts)
    rows: dict[str, list[Tensor]] = {"input_ids": [], "labels": [], "attention_mask": []}
    for ids, labels in texts:
        fills = {"input_ids": PAD, "labels": IGNORED, "attention_mask": 0}
        for name, one in (("input_ids", ids), ("labels", labels), ("attention_mask", torch.ones_like(ids))):
            fill = torch.full((longest - len(ids),), fills[name])
            rows[name].append(torch.cat((fill, one) if setup.layout == "left" else (one, fill)))
    return {name: torch.stack(each) for name, each in rows.items()}


def train(setup: Setup, model: nn.Module, steps: int = 3) -> None:
    """A right loop: a mean over the tokens of the window, or over its micro-batches' means."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": p, "weight_decay": d} for p, d in zip((matrices, others), setup.decay, strict=True)]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=setup.betas)
    draw = torch.Generator().manual_seed(setup.seed)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, (step + 1) / max(1, setup.warmup))
        window = [batch(setup, draw) for _ in range(setup.accumulation)]
        counts = [int((one["labels"][:, 1:] != IGNORED).sum()) for one in window]
        for one, count in zip(window, counts, strict=True):
            means = setup.level == "micro-batch"
            _backward(setup, model, one, max(1, count) * len(window) if means else max(1, sum(counts)))
        if setup.clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), setup.clip)
        optimizer.step()
        optimizer.zero_grad()


def _backward(setup: Setup, model: nn.Module, one: dict[str, Tensor], divisor: int) -> None:
    given = dict(one) if setup.labels else {k: v for k, v in one.items() if k != "labels"}
    context = torch.autocast("cpu", torch.bfloat16) if setup.autocast else contextlib.nullcontext()
    with context:
        logits = model(**given, use_cache=False).logits[:, :-1].float()
    targets = one["labels"][:, 1:].flatten()
    (nn.functional.cross_entropy(logits.flatten(0, 1), targets, reduction="sum") / divisor).backward()
