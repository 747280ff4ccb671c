"""A scenario as flags of OpenRLHF's `openrlhf.cli.train_ppo_ray`, by the names that a release has for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from packaging.version import Version

from adapters.contract import Job, Scenario
from adapters.families.deepspeed_setup import STAGES
from adapters.families.openrlhf_flags import DOTTED, schedule
from adapters.families.rollouts import Rollout
from adapters.inside import modeling

AGGREGATES = Version("0.11.2")
"""The first release that averages rows if it is told to (--actor.loss_agg_mode); before it GSPO alone does."""
ESTIMATORS = {"group": "dr_grpo", "group-std": "group_norm"}
"""By the scenario's advantages."""
RATIOS = {"token": "ppo", "sequence": "gspo"}
MEANS = {"token": "token-mean", "row": "seq-mean-token-mean"}
NO_LIMIT = 1_000_000_000
"""Beyond any reward less its baseline, which is cut off at 10 unless a range is given."""

FLAGS = {
    "pretrain": "actor.model_name_or_path",
    "save_path": "ckpt.output_dir",
    "seed": "train.seed",
    "actor_num_gpus_per_node": "actor.num_gpus_per_node",
    "rollout_batch_size": "rollout.batch_size",
    "micro_rollout_batch_size": "rollout.micro_batch_size",
    "n_samples_per_prompt": "rollout.n_samples_per_prompt",
    "train_batch_size": "train.batch_size",
    "max_epochs": "train.max_epochs",
    "micro_train_batch_size": "train.micro_batch_size",
    "advantage_estimator": "algo.advantage.estimator",
    "init_kl_coef": "algo.kl.init_coef",
    "use_kl_loss": "algo.kl.use_loss",
    "kl_estimator": "algo.kl.estimator",
    "eps_clip_low_high": "actor.eps_clip_low_high",
    "policy_loss_type": "actor.policy_loss_type",
    "reward_clip_range": "reward.clip_range",
    "zero_stage": "ds.zero_stage",
    "adam_offload": "ds.adam_offload",
    "attn_implementation": "ds.attn_implementation",
    "vllm_sync_backend": "vllm.sync_backend",
    "actor_learning_rate": "actor.adam.lr",
    "adam_betas": "actor.adam.betas",
    "l2": "actor.adam.weight_decay",
    "max_norm": "actor.max_norm",
    "lr_scheduler": "actor.lr_scheduler",
    "lr_warmup_ratio": "actor.lr_warmup_ratio",
    "min_lr_ratio": "actor.min_lr_ratio",
    "gradient_checkpointing": "actor.gradient_checkpointing_enable",
}
"""The flags of 0.9 by what they are called since `DOTTED`."""


def arguments(job: Job, rollout: Rollout) -> list[str]:
    """The scenario as flags of this release; what they do not say stays as it is. All samplings are of the size of
    this one."""
    scenario, version = job.scenario, Version(job.version)
    window, wanted = scenario.window, scenario.objective
    said: dict[str, Sequence[Any]] = {
        "pretrain": [job.checkpoint],
        "save_path": [Path.cwd() / "saved"],
        "seed": [scenario.seed],
        "vllm_sync_backend": ["gloo"],
        "actor_num_gpus_per_node": [window.ranks],
        "rollout_batch_size": [len(rollout.every) // wanted.group_size],
        "max_epochs": [rollout.epochs],
        "micro_rollout_batch_size": [window.micro_batch_size],
        "n_samples_per_prompt": [wanted.group_size],
        "train_batch_size": [window.sequences_per_step],
        "micro_train_batch_size": [window.micro_batch_size],
        "zero_stage": [STAGES[scenario.sharding.strategy]],
        "attn_implementation": [modeling.attention_of(scenario)],
        "advantage_estimator": [ESTIMATORS[wanted.advantage]],
        "reward_clip_range": [-NO_LIMIT, NO_LIMIT],
        "eps_clip_low_high": [wanted.clip_low, wanted.clip_high],
        "policy_loss_type": [RATIOS[wanted.ratio]],
        **_divergence(scenario),
        **_optimizer(scenario, version >= DOTTED),
    }
    if scenario.sharding.offload_optimizer:
        said["adam_offload"] = []
    if scenario.model.gradient_checkpointing:
        said["gradient_checkpointing"] = []
    named = {FLAGS[name] if version >= DOTTED else name: values for name, values in said.items()}
    if version >= DOTTED:
        named["actor.adam.eps"] = [scenario.optimizer.eps]
    if version >= AGGREGATES:
        named["actor.loss_agg_mode"] = [MEANS[wanted.normaliser]]
    return [word for name, values in named.items() for word in (f"--{name}", *map(str, values))]


def _divergence(scenario: Scenario) -> dict[str, Sequence[Any]]:
    """As a part of the loss, where the policy is held to anything; it would be one of the reward otherwise."""
    wanted = scenario.objective
    if not wanted.refers:
        return {"init_kl_coef": [0.0]}
    return {"init_kl_coef": [wanted.beta], "use_kl_loss": [], "kl_estimator": [wanted.divergence]}


def _optimizer(scenario: Scenario, dotted: bool) -> dict[str, Sequence[Any]]:
    rule = scenario.optimizer
    return {
        "actor_learning_rate": [rule.learning_rate],
        "adam_betas": [rule.beta1, rule.beta2],
        "l2": [rule.weight_decay],
        "max_norm": [rule.max_grad_norm or 0.0],
        **schedule(scenario, dotted),
    }
