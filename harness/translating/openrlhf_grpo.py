"""OpenRLHF's policy steps: cli/train_ppo_ray.py, of which the losses are in models/loss.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adapters.contract import Objective
from harness.translating import sentences
from harness.translating.meaning import Meaning, NoMeaning, Settings, Sizes, Word, canonical, unsaid
from harness.translating.options import Beside, Options
from harness.validation.read import configuration
from harness.validation.read.bounded import BadConfiguration

RELEASE = "0.11.2"

BESIDE: Mapping[str, Beside] = {
    "algo.advantage.is_correction_level": Beside(("off",), sentences.MISMATCH),
    "algo.dynamic_filtering_enable": Beside((False,), sentences.SAMPLES_DROPPED),
    "reward.overlong_buffer_len": Beside((None,), sentences.REWARDS_CHANGED),
    "reward.stop_properly_penalty_coef": Beside((None,), sentences.REWARDS_CHANGED),
}

DEFAULTS: Mapping[str, Any] = {
    "algo.advantage.estimator": "gae",
    "algo.kl.init_coef": 0.01,
    "algo.kl.use_loss": False,
    "algo.kl.estimator": "k1",
    "algo.kl.unbiased_gradient": False,
    "actor.policy_loss_type": "ppo",
    "actor.loss_agg_mode": "token-mean",
    "actor.eps_clip": 0.2,
    "actor.eps_clip_low_high": None,
    "actor.dual_clip": None,
    "actor.entropy_coef": None,
    "rollout.n_samples_per_prompt": 1,
    "rollout.temperature": 1.0,
    "reward.clip_range": [-10, 10],
    "rollout.batch_size": 1024,
    "train.batch_size": 128,
    "train.micro_batch_size": 1,
    "train.max_epochs": 1,
    **{name: one.neutral[0] for name, one in BESIDE.items()},
}
"""Of the options that are read."""

ESTIMATORS = {"group_norm": "group-std", "dr_grpo": "group", "rloo": "group"}
OTHER_ESTIMATORS = {
    "gae": "it has a critic",
    "reinforce": "advantages are whitened over all tokens of a sampling",
    "reinforce_baseline": "advantages are whitened over all tokens of a sampling",
    "flash_reinforce": "the mean of all rewards of a sampling is taken off",
}
NO_LIMIT = 1_000_000_000
"""Beyond any reward less the mean of its group."""
LEAST = 2
"""Completions of a group."""
SMALL = 100
"""Completions of a group in which none can be ten deviations from the mean."""
MODES = {"token-mean": "token", "seq-mean-token-mean": "row"}
KINDS = {"token": "token-mean", "row": "seq-mean-token-mean", "constant": "seq-mean-token-mean"}
LOSSES = {"ppo": "token", "gspo": "sequence"}
DIVERGENCES = {kind: kind for kind in ("k1", "k2", "k3")}


def read(given: Mapping[str, Any], ranks: int | None = None) -> Meaning:
    """Raises BadConfiguration and NoMeaning."""
    options = Options(given, DEFAULTS)
    advantage = options.choice("algo.advantage.estimator", ESTIMATORS, OTHER_ESTIMATORS)
    ratio = options.choice("actor.policy_loss_type", LOSSES)
    told = options.choice("actor.loss_agg_mode", MODES)
    beta = options.number("algo.kl.init_coef")
    in_loss = options.truth("algo.kl.use_loss")
    low, high = _clip(options)
    sizes, sampled = _sizes(options, ranks or 1)
    objective = Objective(
        method="grpo",
        beta=beta if in_loss else 0.0,
        group_size=options.whole("rollout.n_samples_per_prompt", LEAST),
        advantage=advantage,
        normaliser="row" if ratio == "sequence" else told,
        ratio=ratio,
        clip_low=low,
        clip_high=high,
        rollout_steps=sampled * sizes.passes,
        divergence=_divergence(options) if in_loss and beta else "k3",
    )
    return Meaning(
        canonical(objective),
        tuple(_words(options, objective)),
        sizes,
        dual_clip=options.maybe("actor.dual_clip"),
        temperature=options.positive("rollout.temperature"),
        entropy=options.coefficient("actor.entropy_coef"),
        alone=ranks is None,
        defaults=options.defaults,
        unread=options.unread,
    )


def _divergence(options: Options) -> Any:
    kind = options.choice("algo.kl.estimator", DIVERGENCES)
    return "k2" if options.truth("algo.kl.unbiased_gradient") else kind


def _clip(options: Options) -> tuple[float, float]:
    """Raises BadConfiguration."""
    if options.value("actor.eps_clip_low_high") is None:
        low = options.positive("actor.eps_clip", 1.0)
        return low, low
    low, high = _two(options, "actor.eps_clip_low_high")
    if not 0 < low <= 1 or not 0 < high <= 1e6:
        raise BadConfiguration(f"actor.eps_clip_low_high is {low:g} {high:g}, expected above 0, and the first to 1")
    return low, high


def _two(options: Options, key: str) -> tuple[float, float]:
    """Raises BadConfiguration."""
    both = options.value(key)
    if not isinstance(both, Sequence) or isinstance(both, str) or len(both) != 2:
        raise BadConfiguration(f"{key} is {str(both)[:40]!r}, expected two numbers")
    return configuration.number(both[0], key), configuration.number(both[1], key)


def _sizes(options: Options, ranks: int) -> tuple[Sizes, int]:
    """And optimizer steps that have rows of their own of one sampling. Raises NoMeaning."""
    rows = options.whole("train.batch_size")
    at_once = options.whole("rollout.batch_size") * options.whole("rollout.n_samples_per_prompt")
    if at_once % rows:
        raise NoMeaning(
            f"a sampling of {at_once} completions (rollout.batch_size x rollout.n_samples_per_prompt) is no whole"
            f" number of train.batch_size={rows}"
        )
    return Sizes(rows, options.whole("train.micro_batch_size"), options.whole("train.max_epochs"), ranks), (
        at_once // rows
    )


def _words(options: Options, objective: Objective) -> Iterator[Word]:
    if objective.advantage == "group-std":
        yield options.word("algo.advantage.estimator", sentences.added("1e-9"))
    if options.value("algo.advantage.estimator") == "rloo":
        yield options.word("algo.advantage.estimator", sentences.LEAVE_ONE_OUT)
    if objective.beta and objective.normaliser == "row":
        yield options.word("algo.kl.use_loss", sentences.KL_TOKEN_MEAN)
    if objective.beta and options.truth("algo.kl.unbiased_gradient") and objective.rollout_steps > 1:
        yield options.word("algo.kl.unbiased_gradient", sentences.KL_TIMES_RATIO)
    if options.number("algo.kl.init_coef") and not options.truth("algo.kl.use_loss"):
        yield options.word("algo.kl.init_coef", sentences.KL_REWARD)
    least, most = _two(options, "reward.clip_range")
    of_deviations = objective.advantage == "group-std" and objective.group_size <= SMALL
    if max(least, -most) > (-10 if of_deviations else -NO_LIMIT):
        yield options.word("reward.clip_range", f"advantages are cut off at {least:g} and {most:g}")
    if options.coefficient("actor.entropy_coef"):
        yield options.word("actor.entropy_coef", sentences.ENTROPY["token"])
    yield from options.beside(BESIDE)


def write(meaning: Meaning) -> Settings:
    """What is nearest to it."""
    wanted, cannot = meaning.objective, list(_cannot(meaning))
    options: dict[str, Any] = {
        "algo.advantage.estimator": "group_norm" if wanted.advantage == "group-std" else "dr_grpo",
        "actor.policy_loss_type": "gspo" if wanted.ratio == "sequence" else "ppo",
        "actor.loss_agg_mode": KINDS[wanted.normaliser],
        "actor.eps_clip_low_high": [wanted.clip_low, wanted.clip_high],
        "algo.kl.init_coef": wanted.beta,
        "reward.clip_range": [-NO_LIMIT, NO_LIMIT],
        "rollout.n_samples_per_prompt": max(LEAST, wanted.group_size),
    }
    if wanted.beta:
        options |= {"algo.kl.use_loss": True, "algo.kl.estimator": wanted.divergence}
    if meaning.dual_clip is not None:
        options["actor.dual_clip"] = meaning.dual_clip
    if meaning.entropy:
        options["actor.entropy_coef"] = meaning.entropy
    if meaning.temperature != 1:
        options["rollout.temperature"] = meaning.temperature
    if meaning.sizes is not None:
        options |= _of_sizes(meaning.sizes, wanted, cannot)
    return Settings(options, tuple(cannot))


def _cannot(meaning: Meaning) -> Iterator[str]:
    wanted = meaning.objective
    if wanted.normaliser == "constant":
        yield "openrlhf divides by tokens, or by those of each completion, and has no constant for them"
    if wanted.ratio == "sequence" and wanted.normaliser == "token":
        yield "openrlhf's gspo averages over each completion first"
    if wanted.advantage == "given":
        yield "openrlhf has no advantage that is the reward itself: its reinforce whitens over all tokens"
    if wanted.group_size < LEAST:
        yield f"openrlhf has no groups of {wanted.group_size} with its dr_grpo and group_norm"
    if wanted.truncated == "masked":
        yield "openrlhf has no option that leaves out completions which do not end"
    yield from unsaid("openrlhf", wanted)


def _of_sizes(sizes: Sizes, wanted: Objective, cannot: list[str]) -> dict[str, Any]:
    rows, batches, group = sizes.rows, wanted.rollout_steps // sizes.passes, max(LEAST, wanted.group_size)
    if rows * batches % group:
        cannot.append(f"openrlhf samples whole groups: {rows * batches} completions are none of {group}")
        rows += -rows % group
    each = sizes.micro_batch or max(1, rows // sizes.ranks)
    return {
        "rollout.batch_size": rows * batches // group,
        "train.batch_size": rows,
        "train.micro_batch_size": each,
        "train.max_epochs": sizes.passes,
    }
