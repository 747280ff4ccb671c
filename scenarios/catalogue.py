"""The named scenarios. Each is a function of the seed; a variant edits a base with `vary`."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable

from adapters.contract import Group, Lora, Model, Scenario, Schedule, vary
from scenarios import pieces, text
from scenarios.bases import compose, groups, over_deviation, pairs
from scenarios.rows import RAGGED

Build = Callable[[int], Scenario]

CATALOGUE: dict[str, Build] = {}


def _scenario(build: Build) -> Build:
    name = build.__name__.replace("_", "-")
    CATALOGUE[name] = lambda seed: vary(build(seed), name=name)
    CATALOGUE[name].__doc__ = build.__doc__
    return build


@_scenario
def sft_ragged(seed: int) -> Scenario:
    """2 ranks x 4 micro-batches x 1 row, responses of 2 to 41 tokens, fp32, AdamW 1e-3, clipped at 1.0, 3 steps."""
    return compose(RAGGED, 3, seed)


@_scenario
def sft_equal(seed: int) -> Scenario:
    """The control: every response has 17 tokens, so every way of averaging gives the same weights."""
    return compose((17,) * 8, 3, seed)


@_scenario
def sft_ragged_noclip(seed: int) -> Scenario:
    """No gradient clipping: a wrong scale of the gradient stays visible in the weights."""
    return vary(sft_ragged(seed), max_grad_norm=None)


@_scenario
def sft_ragged_decay(seed: int) -> Scenario:
    """Weight decay 0.1 on matrices, none on norms."""
    return vary(sft_ragged(seed), weight_decay=0.1)


@_scenario
def sft_ragged_decay_all(seed: int) -> Scenario:
    """Weight decay 0.1 on every parameter, norms as well."""
    return vary(sft_ragged(seed), weight_decay=0.1, decayed="all")


@_scenario
def sft_ragged_groups(seed: int) -> Scenario:
    """The embedding and the head have a fifth of the learning rate and no weight decay; the other matrices, 0.1."""
    own = Group(("model.embed_tokens.weight", "lm_head.weight"), rate=0.2, weight_decay=0.0)
    return vary(sft_ragged(seed), weight_decay=0.1, groups=(own,))


@_scenario
def sft_ragged_warmup(seed: int) -> Scenario:
    """The learning rate rises linearly over 4 steps: a schedule that is early or late shows."""
    return vary(sft_ragged(seed), schedule=Schedule(warmup_steps=4))


@_scenario
def sft_ragged_cosine(seed: int) -> Scenario:
    """Half a cosine down to a tenth of the rate over 4 steps, after a warm-up from 0 over 2 of them."""
    falling = Schedule("cosine", least=0.1, warmup_steps=2, warmup_from="zero")
    return vary(compose(RAGGED, 4, seed), schedule=falling)


@_scenario
def sft_ragged_batch2(seed: int) -> Scenario:
    """Micro-batches of 2 rows, padded: 2 ranks x 3 micro-batches x 2 rows."""
    base = compose((9, 4, 14, 31, 28, 6, 2, 19, 11, 5, 8, 3), 3, seed)
    return vary(base, micro_batch_size=2, accumulation=3)


@_scenario
def sft_ragged_packed(seed: int) -> Scenario:
    """Two conversations packed in every sequence, attention and positions apart for each."""
    base = compose((9, 4, 14, 21, 18, 6, 2, 13, 7, 16, 5, 11, 3, 8, 12, 10), 3, seed)
    return vary(base, rows_per_sequence=2)


@_scenario
def sft_ragged_packing(seed: int) -> Scenario:
    """Rows packed by the framework into sequences of at most 63 tokens, eight of them an epoch; two epochs, 4 steps."""
    base = compose((31, 4, 28, 2, 5, 36, 30, 3, 2, 9, 34, 6, 29, 2, 7, 33, 4, 3, 27, 2), 1, seed)
    return vary(base, packed_length=63, accumulation=2, epochs=2, steps=4)


@_scenario
def sft_ragged_bf16(seed: int) -> Scenario:
    """The model computes in bfloat16; the optimizer keeps float32 master weights and moments."""
    return vary(sft_ragged(seed), compute="bf16")


@_scenario
def sft_ragged_pairs(seed: int) -> Scenario:
    """The dataset holds prompts and completions in columns of their own instead of conversations."""
    return vary(sft_ragged(seed), row_format="prompt-completion")


@_scenario
def sft_ragged_moe(seed: int) -> Scenario:
    """Each token is routed to two of four experts (Mixtral); no load-balancing loss."""
    model = Model(architecture="mixtral", experts=4, experts_per_token=2, intermediate_size=32)
    return vary(sft_ragged(seed), model=model)


@_scenario
def sft_ragged_moe_aux(seed: int) -> Scenario:
    """And the load-balancing loss of the router is added, times 0.02."""
    return vary(sft_ragged_moe(seed), auxiliary=0.02)


@_scenario
def sft_ragged_processor(seed: int) -> Scenario:
    """The checkpoint ships a multimodal processor, as those of vision models do; every row is text all the same."""
    return vary(sft_ragged(seed), processor=True)


@_scenario
def sft_ragged_stablelm(seed: int) -> Scenario:
    """A StableLM: the oracle has no forward pass of it, and judges it by what was recorded alone."""
    base = sft_ragged(seed)
    return vary(base, architecture="stablelm")


@_scenario
def sft_ragged_epochs(seed: int) -> Scenario:
    """An epoch of 14 rows and half of the next: its last window has 3 micro-batches of 4."""
    base = sft_ragged(seed)
    return vary(base, rows=base.data.rows[:14], epochs=2)


@_scenario
def sft_ragged_shuffled(seed: int) -> Scenario:
    """The framework shuffles the 16 rows of an epoch, and anew those of the next: two epochs, 4 steps."""
    base = sft_ragged(seed)
    return vary(base, rows=base.data.rows[:16], epochs=2, steps=4, order="shuffled")


@_scenario
def sft_ragged_pad_eos(seed: int) -> Scenario:
    """Two turns in every row, micro-batches of 2 rows, padded with the token that ends a response."""
    base = compose((5, 2, 8, 14, 17, 3, 2, 11, 6, 3, 4, 2), 6, seed)
    rows = tuple(a + b for a, b in zip(base.data.rows[::2], base.data.rows[1::2], strict=True))
    return vary(base, rows=rows, steps=3, micro_batch_size=2, accumulation=3, pad_token="eos")


@_scenario
def sft_ragged_bos(seed: int) -> Scenario:
    """A tokenizer with a BOS, a template with a default system message and a space behind the last EOS."""
    words = text.with_bos(text.vocabulary(Model().vocab_size))
    return vary(compose(RAGGED, 3, seed, words), bos=True, system="babe babi baba", trailing_space=True)


@_scenario
def sft_ragged_resume(seed: int) -> Scenario:
    """Saved by the framework's own checkpoint after the first of 3 steps, and gone on with; the learning rate rises."""
    return vary(sft_ragged_warmup(seed), resume_after=1)


@_scenario
def sft_ragged_zero1(seed: int) -> Scenario:
    """Optimizer state sharded over the ranks (ZeRO stage 1)."""
    return vary(sft_ragged(seed), strategy="zero1")


@_scenario
def sft_ragged_zero2(seed: int) -> Scenario:
    """Optimizer state and gradients sharded over the ranks (ZeRO stage 2)."""
    return vary(sft_ragged(seed), strategy="zero2")


@_scenario
def sft_ragged_zero2_bare_loss(seed: int) -> Scenario:
    """ZeRO stage 2, the engine's module returning the bare loss instead of the model's output object."""
    return vary(sft_ragged_zero2(seed), engine_output="loss")


@_scenario
def sft_ragged_zero2_offload(seed: int) -> Scenario:
    """ZeRO stage 2 with the optimizer offloaded to the CPU."""
    return vary(sft_ragged_zero2(seed), offload_optimizer=True)


@_scenario
def sft_ragged_zero2_bf16(seed: int) -> Scenario:
    """ZeRO stage 2 computing in bfloat16, float32 master weights."""
    return vary(sft_ragged_zero2(seed), compute="bf16")


@_scenario
def sft_ragged_zero1_bf16(seed: int) -> Scenario:
    """ZeRO stage 1 computing in bfloat16, float32 master weights."""
    return vary(sft_ragged_zero1(seed), compute="bf16")


@_scenario
def sft_ragged_zero3(seed: int) -> Scenario:
    """Parameters, gradients and optimizer state sharded over the ranks (ZeRO stage 3)."""
    return vary(sft_ragged(seed), strategy="zero3")


@_scenario
def sft_ragged_zero3_offload(seed: int) -> Scenario:
    """ZeRO stage 3 with parameters and optimizer offloaded to the CPU."""
    return vary(sft_ragged_zero3(seed), offload_optimizer=True, offload_parameters=True)


@_scenario
def sft_ragged_fsdp(seed: int) -> Scenario:
    """Parameters, gradients and optimizer state sharded by FSDP2; under the Trainer, by accelerate."""
    return vary(sft_ragged(seed), strategy="fsdp")


@_scenario
def sft_ragged_fp16(seed: int) -> Scenario:
    """float16 with a scaled loss whose gradient overflows in the first two of four steps; float32 master weights."""
    return vary(compose(RAGGED, 4, seed), compute="fp16", loss_scale=2.0**20)


@_scenario
def sft_ragged_zero2_fp16(seed: int) -> Scenario:
    """ZeRO stage 2 in float16, overflows and all."""
    return vary(sft_ragged_fp16(seed), strategy="zero2")


@_scenario
def sft_ragged_qwen2(seed: int) -> Scenario:
    """Qwen 2: biases on queries, keys and values, the head tied to the embedding."""
    base = sft_ragged(seed)
    words = pieces.vocabulary(base.tokenizer.vocabulary)
    return vary(base, vocabulary=words, model=Model("qwen2", vocab_size=len(words), tied_embeddings=True))


@_scenario
def sft_ragged_qwen3(seed: int) -> Scenario:
    """Qwen 3: a norm on every head's query and key."""
    return vary(sft_ragged(seed), model=Model("qwen3"))


@_scenario
def sft_ragged_gpt2(seed: int) -> Scenario:
    """GPT-2: learned positions, LayerNorm with biases, matrices stored transposed, the head tied to the embedding."""
    return vary(sft_ragged(seed), model=Model("gpt2", kv_heads=4, max_positions=128, tied_embeddings=True))


@_scenario
def sft_ragged_gemma(seed: int) -> Scenario:
    """Gemma 2: a scaled embedding tied to the head, norms that add 1, soft caps on scores and logits."""
    caps = Model("gemma2", tied_embeddings=True, attention_softcap=2.0, final_softcap=3.0)
    return vary(sft_ragged(seed), model=caps)


@_scenario
def sft_ragged_smoothed(seed: int) -> Scenario:
    """Labels smoothed by 0.1."""
    return vary(sft_ragged(seed), label_smoothing=0.1)


@_scenario
def sft_ragged_lora(seed: int) -> Scenario:
    """Low-rank updates of queries and values, rank 4, alpha 8, and nothing else; clipped at 0.3, as QLoRA is."""
    return vary(sft_ragged(seed), lora=Lora(), max_grad_norm=0.3)


@_scenario
def sft_ragged_rslora(seed: int) -> Scenario:
    """Low-rank updates of all linear layers and the embedding, scaled as rsLoRA has it, and the head trained whole."""
    every = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "embed_tokens")
    return vary(sft_ragged(seed), lora=Lora(rslora=True, targets=every, modules_to_save=("lm_head",)))


@_scenario
def sft_ragged_dft(seed: int) -> Scenario:
    """Every token's loss times its own probability (DFT); clipped at 0.01, which so small a loss exceeds."""
    return vary(sft_ragged(seed), token_weight="probability", max_grad_norm=0.01)


@_scenario
def sft_ragged_checkpointed(seed: int) -> Scenario:
    """Layers are computed again in the backward pass (gradient checkpointing)."""
    return vary(sft_ragged(seed), gradient_checkpointing=True)


@_scenario
def sft_ragged_cosine_epochs(seed: int) -> Scenario:
    """The same epoch and a half, the learning rate half a cosine down to nothing after a warm-up from 0."""
    return vary(sft_ragged_epochs(seed), schedule=Schedule("cosine", warmup_steps=1, warmup_from="zero"))


@_scenario
def sft_ragged_paper(seed: int) -> Scenario:
    """As arXiv 2604.23747 trains: 2 ranks x 4 micro-batches x 8 rows, three epochs (of one step each), AdamW with decay
    0.01, half a cosine down to a tenth after a warm-up of a tenth."""
    base = compose(tuple(2 + 7 * k * k % 29 for k in range(64)), 1, seed)
    falling = Schedule("cosine", least=0.1, warmup_ratio=0.1, warmup_from="zero")
    changed = vary(base, micro_batch_size=8, steps=3, epochs=3, order="shuffled")
    return vary(changed, schedule=falling, weight_decay=0.01)


@_scenario
def dpo_ragged(seed: int) -> Scenario:
    """Direct preference optimisation, beta 0.1: 8 pairs a step, one in a micro-batch; responses of 2 to 41 tokens."""
    return pairs(seed)


@_scenario
def dpo_smoothed(seed: int) -> Scenario:
    """And one preference in five counts the other way round; nothing is clipped."""
    return vary(pairs(seed), preference_smoothing=0.2, max_grad_norm=None)


@_scenario
def dpo_ipo(seed: int) -> Scenario:
    """IPO: the log ratios of a pair are to differ by 1 / (2 beta); those of a row are added up."""
    return vary(pairs(seed), preference="ipo")


@_scenario
def dpo_ipo_mean(seed: int) -> Scenario:
    """And the log ratio of a row is the mean over its tokens."""
    return vary(pairs(seed), preference="ipo-mean")


@_scenario
def dpo_with_sft(seed: int) -> Scenario:
    """And the chosen answers are trained for themselves, each averaged over its tokens."""
    return vary(pairs(seed), sft_coefficient=0.5)


@_scenario
def grpo_token(seed: int) -> Scenario:
    """Rewards less the mean of their group, averaged over the tokens of a step (DAPO); clipped at 0.8 and 1.28."""
    return groups(seed)


@_scenario
def grpo_row(seed: int) -> Scenario:
    """Advantages over the standard deviation of their group, averaged over each completion first (GRPO); clipped."""
    return vary(over_deviation(groups(seed)), normaliser="row", max_grad_norm=0.1)


@_scenario
def grpo_constant(seed: int) -> Scenario:
    """Every completion counts as 40 tokens, however long it is (Dr. GRPO)."""
    return vary(groups(seed), normaliser="constant", normaliser_constant=40)


@_scenario
def grpo_stale(seed: int) -> Scenario:
    """Four steps of one sampling: two halves of 32 completions, twice. A larger rate, so that ratios are clipped."""
    return vary(groups(seed), epochs=2, steps=4, rollout_steps=4, learning_rate=3e-3)


@_scenario
def grpo_divergence(seed: int) -> Scenario:
    """And the KL term (k3) to the model that training begins with, times 0.04; two steps of each of two samplings."""
    return vary(over_deviation(groups(seed, steps=4)), beta=0.04, rollout_steps=2, max_grad_norm=0.1)


@_scenario
def grpo_sequence(seed: int) -> Scenario:
    """GSPO: ratios of whole completions, clipped at 0.997 and 1.004, two steps of a sampling."""
    changed = vary(over_deviation(groups(seed)), ratio="sequence", normaliser="row", rollout_steps=2)
    return vary(changed, clip_low=3e-3, clip_high=4e-3)


@_scenario
def grpo_masked(seed: int) -> Scenario:
    """Completions that do not end are not trained."""
    return vary(groups(seed), truncated="masked")


@_scenario
def grpo_mixed(seed: int) -> Scenario:
    """One answer in four is a demonstration, with a shaped ratio, and trained for itself as well; two steps of a
    sampling."""
    changed = vary(groups(seed), demonstrations=1, shaping=0.1, sft_coefficient=0.1)
    return vary(changed, rollout_steps=2)


def get(name: str, seed: int = 0) -> Scenario:
    """The scenario of that name. Raises KeyError for a name that is not in the catalogue."""
    return CATALOGUE[name](seed)


def matching(pattern: str) -> list[str]:
    """Names that match a shell pattern, in the order of the catalogue."""
    return [name for name in CATALOGUE if fnmatch.fnmatchcase(name, pattern)]
