"""The model of a scenario."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Literal

from adapters.contract.checking import hints, require
from adapters.contract.lora import Lora

LIMIT = 2**31
MAX_LAYERS = 1024
MAY_BE_0 = ("extra_rows", "neftune_alpha")
"""Of numbers, the others may not."""

Architecture = Literal["llama", "qwen2", "qwen3", "gpt2", "gemma2", "mixtral", "stablelm"]
"""Families of models, by what transformers calls their `model_type`."""

ROUTED: frozenset[Architecture] = frozenset({"mixtral"})
"""Families whose tokens are routed to experts."""

Compiled = Literal["none", "aot_eager", "inductor"]

Attention = Literal["own", "flash"]

CAPPED: tuple[Architecture, ...] = ("gemma2",)
"""Families whose scores and logits are capped softly."""
TRANSPOSES_NOTHING: tuple[Architecture, ...] = ("llama", "qwen2", "qwen3", "gemma2")
"""Families of linear layers whose matrices have a row for each output, and of no experts: what low-rank updates are of
here."""


@dataclass(frozen=True)
class Model:
    """A tiny decoder; its weights follow from `Scenario.seed` alone."""

    architecture: Architecture = "llama"
    vocab_size: int = 128
    hidden_size: int = 48
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    intermediate_size: int = 96
    """Of each expert, where tokens are routed to experts."""
    experts: int = 1
    """In each layer; 1 for families that route nothing."""
    experts_per_token: int = 1
    rms_eps: float = 1e-5
    rope_theta: float = 10000.0
    extra_rows: int = 0
    """Rows of the embedding and the head beyond the tokenizer's vocabulary, among `vocab_size`: logits like all others,
    of tokens that no text has. Published models are filled up so to a multiple of 64 or 128."""
    max_positions: int = 512
    tied_embeddings: bool = False
    init_std: float = 0.08
    attention_softcap: float | None = None
    """Scores of attention s become c tanh(s / c); None leaves them as they are."""
    final_softcap: float | None = None
    """Of the logits, likewise."""
    lora: Lora | None = None
    """Low-rank updates, in the place of training the parameters themselves."""
    frozen: tuple[str, ...] = ()
    """Shell patterns of the names of parameters that are not trained."""
    gradient_checkpointing: bool = False
    """Whether the layers are computed again in the backward pass, instead of kept."""
    compiled: Compiled = "none"
    """Backend of torch.compile, if the model runs under it."""
    attention: Attention = "own"
    """By which kernels: torch's or what a family has of its own; or those of flash-attn, which are for CUDA and 16 bits
    alone. It changes nothing of what a step should be."""
    neftune_alpha: float = 0.0
    """Of the noise that training adds to the embedding's output (NEFTune, Jain and others 2023): uniform within
    alpha / sqrt(length x hidden size), the length being a sequence's, with or without its padding; 0 for none."""

    def trains(self, name: str) -> bool:
        """Whether the parameter of that name is trained."""
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in self.frozen):
            return False
        return self.lora is None or self.lora.trains(name.split("."))

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.heads

    def check(self) -> None:
        """Raises ValueError, in one line."""
        for name, kind in hints(Model).items():
            value = getattr(self, name)
            if kind in (int, float) and name not in MAY_BE_0:
                require(0 < value < LIMIT, f"model.{name}", value, "1 to 2^31")
        fewer = 0 <= self.extra_rows < self.vocab_size
        require(fewer, "model.extra_rows", self.extra_rows, f"0 to {self.vocab_size - 1}, fewer than model.vocab_size")
        require(0 <= self.neftune_alpha < LIMIT, "model.neftune_alpha", self.neftune_alpha, "0 to 2^31")
        for name in ("attention_softcap", "final_softcap"):
            cap = getattr(self, name)
            require(cap is None or 0 < cap < LIMIT, f"model.{name}", cap, "above 0")
            capped = cap is None or self.architecture in CAPPED
            require(capped, f"model.{name}", cap, f"none, as {self.architecture} caps nothing")
        require(self.layers <= MAX_LAYERS, "model.layers", self.layers, f"at most {MAX_LAYERS}")
        require(self.hidden_size % self.heads == 0, "model.heads", self.heads, f"a divisor of {self.hidden_size}")
        require(self.heads % self.kv_heads == 0, "model.kv_heads", self.kv_heads, f"a divisor of {self.heads}")
        require(self.head_dim % 2 == 0, "model.heads", self.heads, "such that a head has an even size")
        self._check_experts()
        self._check_lora()

    def _check_lora(self) -> None:
        if self.lora is None:
            return
        self.lora.check()
        fits = self.architecture in TRANSPOSES_NOTHING
        require(fits, "model.lora", f"of a {self.architecture}", f"of one of {', '.join(TRANSPOSES_NOTHING)}")
        embedded = {"embed_tokens", "lm_head"} & {*self.lora.targets, *self.lora.modules_to_save}
        require(not (embedded and self.tied_embeddings), "model.lora", sorted(embedded), "of an embedding that is tied")
        noisy = self.neftune_alpha > 0 and "embed_tokens" in embedded
        require(not noisy, "model.neftune_alpha", self.neftune_alpha, "0 with low-rank updates of the embedding")

    def _check_experts(self) -> None:
        routed, each, chosen = self.architecture in ROUTED, self.layers * self.experts, self.experts_per_token
        require(routed or self.experts == 1, "model.experts", self.experts, f"1, as {self.architecture} has no router")
        require(each <= MAX_LAYERS, "model.experts", self.experts, f"at most {MAX_LAYERS} in all layers together")
        require(chosen <= self.experts, "model.experts_per_token", chosen, f"at most {self.experts}")
