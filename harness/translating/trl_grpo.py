"""TRL's GRPOConfig (trainer/grpo_config.py; the loss is `_compute_loss` in trainer/grpo_trainer.py).

With `use_bias_correction_kl` the KL term (k3) is times the ratio r, so that its gradient is r times the log ratio: that
of k2 where r is one and of a token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adapters.contract import Objective
from harness.translating import sentences
from harness.translating.meaning import Meaning, NoMeaning, Settings, Sizes, Word, canonical, unsaid
from harness.translating.options import Beside, Options

RELEASE = "1.16.0"

BESIDE: Mapping[str, Beside] = {
    "multi_objective_aggregation": Beside(
        ("sum_then_normalize",), "each reward function is normalised by itself before they are added up"
    ),
    "top_entropy_quantile": Beside((1, 1.0), "only tokens of the highest entropy are trained"),
    "use_adaptive_entropy": Beside((False,), sentences.ENTROPY_MOVES),
    "off_policy_mask_threshold": Beside((None,), "completions that are far from the policy are left out"),
    "sync_ref_model": Beside((False,), sentences.REFERENCE_MOVES),
    "router_aux_loss_coef": Beside((None, 0, 0.0), "a router's loss is added"),
}

DEFAULTS: Mapping[str, Any] = {
    "num_generations": 8,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "steps_per_generation": None,
    "generation_batch_size": None,
    "num_iterations": 1,
    "max_completion_length": 512,
    "beta": 0.0,
    "epsilon": 0.2,
    "epsilon_high": None,
    "delta": None,
    "temperature": 1.0,
    "entropy_coef": 0.0,
    "importance_sampling_level": "token",
    "scale_rewards": "group",
    "loss_type": "dapo",
    "mask_truncated_completions": False,
    "use_bias_correction_kl": True,
    "use_vllm": False,
    "vllm_importance_sampling_correction": True,
    **{name: one.neutral[0] for name, one in BESIDE.items()},
}
"""Of the options that are read."""

LUSPO = "luspo"
"""Tokens of a completion are added up, and completions averaged: as by a constant of 1."""
LEAST = 2
"""Completions of a group."""
LOSSES = {"dapo": "token", "bnpo": "token", "grpo": "row", "dr_grpo": "constant", LUSPO: "sum"}
OTHERS = {
    "cispo": "the ratio that it clips is a weight without a gradient",
    "sapo": "it has a gate in the place of the clip",
    "vespo": "it weighs completions by a kernel of their ratio",
}
SCALES = dict.fromkeys(("group", "batch", "True", "true"), "group-std") | dict.fromkeys(
    ("none", "None", "False", "false"), "group"
)
KINDS = {"token": "dapo", "row": "grpo", "constant": "dr_grpo"}


def read(given: Mapping[str, Any], ranks: int | None = None) -> Meaning:
    """Raises BadConfiguration and NoMeaning."""
    options = Options(given, DEFAULTS)
    low = options.positive("epsilon", 1.0)
    kind = options.choice("loss_type", LOSSES, OTHERS)
    sizes, sampled = _sizes(options, ranks or 1)
    ratio = options.choice("importance_sampling_level", {"token": "token", "sequence": "sequence"})
    constant = 1 if kind == "sum" else options.whole("max_completion_length") if kind == "constant" else 1
    objective = Objective(
        method="grpo",
        beta=options.number("beta"),
        group_size=options.whole("num_generations", LEAST),
        advantage=options.choice("scale_rewards", SCALES),
        normaliser="constant" if kind == "sum" else kind,
        normaliser_constant=constant,
        ratio=ratio,
        clip_low=low,
        clip_high=low if options.maybe("epsilon_high") is None else options.positive("epsilon_high"),
        rollout_steps=sampled * sizes.passes,
        truncated="masked" if options.truth("mask_truncated_completions") else "trained",
        divergence="k2" if ratio == "token" and options.truth("use_bias_correction_kl") else "k3",
    )
    return Meaning(
        canonical(objective),
        tuple(_words(options, objective, sampled)),
        sizes,
        dual_clip=options.maybe("delta"),
        temperature=options.positive("temperature"),
        entropy=options.coefficient("entropy_coef"),
        alone=ranks is None,
        defaults=options.defaults,
        unread=options.unread,
    )


def _sizes(options: Options, ranks: int) -> tuple[Sizes, int]:
    """And optimizer steps that have rows of their own of one sampling. Raises NoMeaning."""
    each, accumulation = options.whole("per_device_train_batch_size"), options.whole("gradient_accumulation_steps")
    at_once, told = options.maybe("generation_batch_size"), options.maybe("steps_per_generation")
    slices = int(told) if told else int(at_once) // (each * ranks) if at_once else accumulation
    if not slices or (slices % accumulation and accumulation % slices):
        raise NoMeaning(
            f"a sampling of {slices} micro-batches (steps_per_generation) with gradient_accumulation_steps="
            f"{accumulation}: steps then have rows of a part of one"
        )
    sizes = Sizes(each * accumulation * ranks, each, options.whole("num_iterations"), ranks)
    return sizes, max(1, slices // accumulation)


def _words(options: Options, objective: Objective, sampled: int) -> Iterator[Word]:
    kind = str(options.value("loss_type"))
    if str(options.value("scale_rewards")) == "batch":
        yield options.word("scale_rewards", sentences.BATCH_DEVIATION)
    if objective.advantage == "group-std":
        yield options.word("scale_rewards", sentences.added("1e-4"))
    if kind == "bnpo":
        yield options.word("loss_type", sentences.MICRO_MEANS)
    if kind == "dapo" and sampled > 1:
        yield options.word("loss_type", sentences.WINDOWS_AVERAGE)
    if kind == "dr_grpo":
        yield options.word("max_completion_length", sentences.LENGTH)
    of_tokens = objective.ratio == "token" and objective.rollout_steps == 1
    if objective.beta and options.truth("use_bias_correction_kl") and not of_tokens:
        yield options.word("use_bias_correction_kl", sentences.KL_TIMES_RATIO)
    if options.truth("use_vllm") and options.truth("vllm_importance_sampling_correction"):
        yield options.word("vllm_importance_sampling_correction", sentences.MISMATCH)
    if options.coefficient("entropy_coef"):
        yield options.word("entropy_coef", sentences.ENTROPY["micro-batch"])
    yield from options.beside(BESIDE)


def write(meaning: Meaning) -> Settings:
    """What is nearest to it."""
    wanted, cannot = meaning.objective, list(_cannot(meaning))
    kind = LUSPO if wanted.normaliser == "constant" and wanted.normaliser_constant == 1 else KINDS[wanted.normaliser]
    options: dict[str, Any] = {
        "loss_type": kind,
        "scale_rewards": "group" if wanted.advantage == "group-std" else "none",
        "importance_sampling_level": wanted.ratio,
        "epsilon": wanted.clip_low,
        "epsilon_high": wanted.clip_high,
        "beta": wanted.beta,
        "mask_truncated_completions": wanted.truncated == "masked",
        "num_generations": max(LEAST, wanted.group_size),
        "temperature": meaning.temperature,
    }
    if meaning.entropy:
        options["entropy_coef"] = meaning.entropy
    if kind == "dr_grpo":
        options["max_completion_length"] = wanted.normaliser_constant
    if wanted.beta:
        options["use_bias_correction_kl"] = wanted.divergence == "k2"
    if meaning.dual_clip is not None:
        options["delta"] = meaning.dual_clip
    if meaning.sizes is not None:
        options |= _of_sizes(meaning.sizes, wanted.rollout_steps, cannot)
    return Settings(options, tuple(cannot))


def _cannot(meaning: Meaning) -> Iterator[str]:
    wanted = meaning.objective
    if wanted.advantage == "given":
        yield "trl always takes the mean of its group off a reward: it has no advantage that is the reward itself"
    if wanted.group_size < LEAST:
        yield f"trl has no groups of {wanted.group_size} (num_generations)"
    if wanted.beta and wanted.divergence == "k1":
        yield "trl's KL term is k3, not k1"
    if wanted.beta and wanted.divergence == "k2" and (wanted.rollout_steps > 1 or wanted.ratio == "sequence"):
        yield "trl's KL term has the gradient of k2 where the ratio is one and of a token"
    yield from unsaid("trl", wanted)


def _of_sizes(sizes: Sizes, rollout_steps: int, cannot: list[str]) -> dict[str, Any]:
    each = sizes.micro_batch or max(1, sizes.rows // sizes.ranks)
    accumulation, over = divmod(sizes.rows, each * sizes.ranks)
    if over or not accumulation:
        cannot.append(
            f"{sizes.rows} completions a step are no whole number of micro-batches of {each} on {sizes.ranks} ranks"
        )
    accumulation = max(1, accumulation)
    return {
        "per_device_train_batch_size": each,
        "gradient_accumulation_steps": accumulation,
        "steps_per_generation": accumulation * (rollout_steps // sizes.passes),
        "num_iterations": sizes.passes,
    }
