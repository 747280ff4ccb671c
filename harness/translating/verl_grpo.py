"""verl's PPO trainer (trainer/config/ppo_trainer.yaml; losses in workers/utils/losses.py and ppo/core_algos.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adapters.contract import Objective
from harness.translating import sentences
from harness.translating.meaning import Meaning, NoMeaning, Settings, Sizes, Word, canonical, unsaid
from harness.translating.options import Beside, Options

RELEASE = "0.9.1"
ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
CORRECTION = "algorithm.rollout_correction"

BESIDE: Mapping[str, Beside] = {
    "algorithm.use_kl_in_reward": Beside((False,), sentences.KL_REWARD),
    "algorithm.filter_groups.enable": Beside((False,), sentences.SAMPLES_DROPPED),
    f"{CORRECTION}.rollout_is": Beside((None,), sentences.MISMATCH),
    f"{CORRECTION}.rollout_rs": Beside((None,), sentences.MISMATCH),
}

DEFAULTS: Mapping[str, Any] = {
    "algorithm.adv_estimator": "gae",
    "algorithm.norm_adv_by_std_in_grpo": True,
    "data.train_batch_size": 1024,
    "data.max_response_length": 512,
    "trainer.n_gpus_per_node": 8,
    "trainer.nnodes": 1,
    f"{ROLLOUT}.n": 1,
    f"{ROLLOUT}.temperature": 1.0,
    f"{ACTOR}.ppo_mini_batch_size": 256,
    f"{ACTOR}.ppo_micro_batch_size_per_gpu": None,
    f"{ACTOR}.ppo_epochs": 1,
    f"{ACTOR}.loss_agg_mode": "token-mean",
    f"{ACTOR}.loss_scale_factor": None,
    f"{ACTOR}.policy_loss.loss_mode": "vanilla",
    f"{ACTOR}.clip_ratio": 0.2,
    f"{ACTOR}.clip_ratio_low": 0.2,
    f"{ACTOR}.clip_ratio_high": 0.2,
    f"{ACTOR}.clip_ratio_c": 3.0,
    f"{ACTOR}.entropy_coeff": 0,
    f"{ACTOR}.use_kl_loss": False,
    f"{ACTOR}.kl_loss_coef": 0.001,
    f"{ACTOR}.kl_loss_type": "low_var_kl",
    **{name: one.neutral[0] for name, one in BESIDE.items()},
}
"""Of the options that are read."""

NO_DUAL_CLIP = 1e20
"""verl cannot be told not to clip below as well; no ratio is above this one."""
MODES = {
    "token-mean": "token",
    "seq-mean-token-mean": "row",
    "seq-mean-token-sum-norm": "constant",
    "seq-mean-token-sum": "sum",
}
OTHER_MODES = {"token-sum": "nothing divides the sum of a step's tokens"}
LOSSES = {"vanilla": "token", "gspo": "sequence"}
OTHER_LOSSES = dict.fromkeys(
    ("bypass_mode", "cispo", "clip_cov", "dppo_kl", "dppo_tv", "dro", "geo_mean", "gpg", "kl_cov", "sapo"),
    "what it does to the ratio is no clip of it",
)
ESTIMATORS = {
    name: "grpo" for one in ("grpo", "grpo_vectorized") for name in (one, f"AdvantageEstimator.{one.upper()}")
}
"""The vectorized one has the same formula."""
OTHER_ESTIMATORS = {
    "gae": "it has a critic",
    **dict.fromkeys(
        (
            *("gdpo", "gpg", "grpo_passk", "opo", "optimal_token_baseline", "reinforce_plus_plus"),
            *("reinforce_plus_plus_baseline", "remax", "rloo", "rloo_vectorized", "tir_optimal_token_baseline"),
        ),
        "its advantages are made otherwise",
    ),
}
DIVERGENCES = {"kl": "k1", "k1": "k1", "mse": "k2", "k2": "k2", "low_var_kl": "k3", "k3": "k3"}
STRAIGHT = {f"{name}+": "k2" for name in DIVERGENCES}
"""Their value is that of the estimator, and their gradient that of half the squared log ratio (`kl_penalty`)."""
OTHER_DIVERGENCES = dict.fromkeys(("abs", "full"), "it is none of the three estimators")
KINDS = {"token": "token-mean", "row": "seq-mean-token-mean", "constant": "seq-mean-token-sum-norm"}
TYPES = {"k1": "kl", "k2": "mse", "k3": "low_var_kl"}


def read(given: Mapping[str, Any], ranks: int | None = None) -> Meaning:
    """Raises BadConfiguration and NoMeaning."""
    options = Options(given, DEFAULTS)
    options.choice("algorithm.adv_estimator", ESTIMATORS, OTHER_ESTIMATORS)
    ratio = options.choice(f"{ACTOR}.policy_loss.loss_mode", LOSSES, OTHER_LOSSES)
    kind = options.choice(f"{ACTOR}.loss_agg_mode", MODES, OTHER_MODES)
    beta = options.number(f"{ACTOR}.kl_loss_coef") if options.truth(f"{ACTOR}.use_kl_loss") else 0.0
    each = options.whole(f"{ROLLOUT}.n")
    over = options.truth("algorithm.norm_adv_by_std_in_grpo")
    sizes, sampled = _sizes(options, each, ranks)
    objective = Objective(
        method="grpo",
        beta=beta,
        group_size=each,
        advantage="given" if each == 1 else "group-std" if over else "group",
        normaliser="constant" if kind == "sum" else kind,
        normaliser_constant=_constant(options, kind),
        ratio=ratio,
        clip_low=options.positive(_clip(options, "low"), 1.0),
        clip_high=options.positive(_clip(options, "high")),
        rollout_steps=sampled * sizes.passes,
        divergence=options.choice(f"{ACTOR}.kl_loss_type", DIVERGENCES | STRAIGHT, OTHER_DIVERGENCES) if beta else "k3",
    )
    dual = options.number(f"{ACTOR}.clip_ratio_c")
    return Meaning(
        canonical(objective),
        tuple(_words(options, objective, kind)),
        sizes,
        dual_clip=dual if ratio == "token" and dual < NO_DUAL_CLIP else None,
        temperature=options.positive(f"{ROLLOUT}.temperature"),
        entropy=options.coefficient(f"{ACTOR}.entropy_coeff"),
        defaults=options.defaults,
        unread=options.unread,
    )


def _clip(options: Options, side: str) -> str:
    """The option that says it: `clip_ratio` where that of the side is nothing."""
    own = f"{ACTOR}.clip_ratio_{side}"
    return f"{ACTOR}.clip_ratio" if options.maybe(own) is None else own


def _constant(options: Options, kind: str) -> int:
    if kind != "constant":
        return 1
    factor = options.maybe(f"{ACTOR}.loss_scale_factor")
    return options.whole("data.max_response_length") if factor is None else options.whole(f"{ACTOR}.loss_scale_factor")


def _sizes(options: Options, each: int, ranks: int | None) -> tuple[Sizes, int]:
    """And optimizer steps that have rows of their own of one sampling. Raises NoMeaning."""
    prompts, at_once = options.whole(f"{ACTOR}.ppo_mini_batch_size"), options.whole("data.train_batch_size")
    if at_once % prompts:
        raise NoMeaning(f"data.train_batch_size={at_once} is no whole number of ppo_mini_batch_size={prompts}")
    said = options.whole("trainer.n_gpus_per_node") * options.whole("trainer.nnodes")
    micro = options.maybe(f"{ACTOR}.ppo_micro_batch_size_per_gpu")
    sizes = Sizes(prompts * each, int(micro) if micro else None, options.whole(f"{ACTOR}.ppo_epochs"), ranks or said)
    return sizes, at_once // prompts


def _words(options: Options, objective: Objective, kind: str) -> Iterator[Word]:
    if objective.advantage == "group-std":
        yield options.word("algorithm.norm_adv_by_std_in_grpo", sentences.added("1e-6"))
    if kind == "constant" and not options.has(f"{ACTOR}.loss_scale_factor"):
        yield options.word(
            f"{ACTOR}.loss_scale_factor",
            "where completions are not padded, those of a micro-batch count as its longest one, not as a constant",
        )
    read = f"{ACTOR}.clip_ratio" in (_clip(options, "low"), _clip(options, "high"))
    if options.has(f"{ACTOR}.clip_ratio") and not read and not options.has(f"{ACTOR}.clip_ratio_low"):
        yield options.word(f"{ACTOR}.clip_ratio", "is not read: clip_ratio_low and clip_ratio_high are 0.2 by default")
    if options.coefficient(f"{ACTOR}.entropy_coeff"):
        yield options.word(f"{ACTOR}.entropy_coeff", sentences.ENTROPY[objective.normaliser])
    yield from options.beside(BESIDE)


def write(meaning: Meaning) -> Settings:
    """What is nearest to it."""
    wanted, cannot = meaning.objective, list(_cannot(meaning))
    dual = NO_DUAL_CLIP if meaning.dual_clip is None else meaning.dual_clip
    options: dict[str, Any] = {
        "algorithm.adv_estimator": "grpo",
        "algorithm.norm_adv_by_std_in_grpo": wanted.advantage == "group-std",
        f"{ROLLOUT}.n": wanted.group_size,
        f"{ACTOR}.policy_loss.loss_mode": "gspo" if wanted.ratio == "sequence" else "vanilla",
        f"{ACTOR}.loss_agg_mode": KINDS[wanted.normaliser],
        f"{ACTOR}.clip_ratio_low": wanted.clip_low,
        f"{ACTOR}.clip_ratio_high": wanted.clip_high,
        f"{ACTOR}.clip_ratio_c": dual,
        f"{ACTOR}.use_kl_loss": wanted.refers,
    }
    if meaning.temperature != 1:
        options[f"{ROLLOUT}.temperature"] = meaning.temperature
    if meaning.entropy:
        options[f"{ACTOR}.entropy_coeff"] = meaning.entropy
    if wanted.normaliser == "constant":
        options[f"{ACTOR}.loss_scale_factor"] = wanted.normaliser_constant
    if wanted.refers:
        options[f"{ACTOR}.kl_loss_coef"] = wanted.beta
        options[f"{ACTOR}.kl_loss_type"] = TYPES[wanted.divergence]
    if meaning.sizes is not None:
        options |= _of_sizes(meaning.sizes, wanted, cannot)
    return Settings(options, tuple(cannot))


def _cannot(meaning: Meaning) -> Iterator[str]:
    wanted = meaning.objective
    if wanted.advantage == "given" and wanted.group_size > 1:
        yield "verl takes a reward as it is in groups of one alone"
    if wanted.advantage != "given" and wanted.group_size == 1:
        yield "verl takes a reward as it is in groups of one"
    if wanted.ratio == "sequence" and meaning.dual_clip is not None:
        yield "verl's gspo has no second clip where the advantage is below 0"
    if wanted.truncated == "masked":
        yield "verl has no option that leaves out completions which do not end; its batch takes a response_mask"
    yield from unsaid("verl", wanted)


def _of_sizes(sizes: Sizes, wanted: Objective, cannot: list[str]) -> dict[str, Any]:
    prompts, over = divmod(sizes.rows, wanted.group_size)
    if over or not prompts:
        cannot.append(
            f"verl counts a mini-batch in prompts: {sizes.rows} completions are no whole groups of {wanted.group_size}"
        )
    prompts = max(1, prompts)
    told: dict[str, Any] = {
        f"{ACTOR}.ppo_mini_batch_size": prompts,
        f"{ACTOR}.ppo_epochs": sizes.passes,
        "data.train_batch_size": prompts * (wanted.rollout_steps // sizes.passes),
        "trainer.n_gpus_per_node": sizes.ranks,
    }
    return told | ({f"{ACTOR}.ppo_micro_batch_size_per_gpu": sizes.micro_batch} if sizes.micro_batch else {})
