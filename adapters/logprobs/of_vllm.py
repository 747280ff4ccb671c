"""vLLM on a CPU: log-probabilities of a prompt, and of tokens that it is made to decode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from vllm import LLM, SamplingParams
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from adapters.logprobs.answer import Answer

TOKENS = "tokens"
"""What a request carries: those that it has to decode."""
ALL = -1
"""Log-probabilities of the whole vocabulary."""


class Forced(AdapterLogitsProcessor):
    """Leaves of the logits that tokens are sampled from only the given token. Log-probabilities are of those before."""

    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(self, params: SamplingParams) -> Callable[[list[int], Tensor], Tensor] | None:
        tokens = (params.extra_args or {}).get(TOKENS)
        if tokens is None:
            return None

        def only(made: list[int], scores: Tensor) -> Tensor:
            left = torch.full_like(scores, -torch.inf)
            left[tokens[len(made)]] = 0.0
            return left

        return only


@cache
def engine(checkpoint: Path, dtype: torch.dtype, length: int) -> Any:
    """One for all ways. Nothing is taken from another request's cache, and log-probabilities are those of the model."""
    return LLM(
        model=str(checkpoint),
        skip_tokenizer_init=True,
        dtype=str(dtype).removeprefix("torch."),
        enforce_eager=True,
        max_model_len=length + 1,
        enable_prefix_caching=False,
        logprobs_mode="raw_logprobs",
        max_logprobs=ALL,
        logits_processors=[Forced],
    )


def prefill(checkpoint: Path, dtype: torch.dtype, ids: Tensor) -> Answer:
    """`prompt_logprobs` of whole rows."""
    asked = SamplingParams(max_tokens=1, prompt_logprobs=ALL, detokenize=False)
    made = engine(checkpoint, dtype, ids.shape[1]).generate(_prompts(ids), asked, use_tqdm=False)
    return _answer([one.prompt_logprobs[1:] for one in made], ids)


def decode(checkpoint: Path, dtype: torch.dtype, ids: Tensor) -> Answer:
    """`logprobs` of generated tokens, each the given one. Raises AssertionError where another one was."""
    rows = ids[:, 1:].tolist()
    asked = [
        SamplingParams(max_tokens=len(row), logprobs=ALL, detokenize=False, ignore_eos=True, extra_args={TOKENS: row})
        for row in rows
    ]
    made = engine(checkpoint, dtype, ids.shape[1]).generate(_prompts(ids[:, :1]), asked, use_tqdm=False)
    assert [list(one.outputs[0].token_ids) for one in made] == rows
    return _answer([one.outputs[0].logprobs for one in made], ids)


def _prompts(ids: Tensor) -> list[dict[str, list[int]]]:
    return [{"prompt_token_ids": row} for row in ids.tolist()]


def _answer(told: Sequence[Sequence[Mapping[int, Any]]], ids: Tensor) -> Answer:
    """told: by row and place, what vLLM says of each token of the vocabulary."""
    every = torch.tensor([[[at[token].logprob for token in range(len(at))] for at in row] for row in told])
    return Answer(every.gather(2, ids[:, 1:, None])[..., 0], every)


WAYS = {"vllm-prefill": prefill, "vllm-decode": decode}
