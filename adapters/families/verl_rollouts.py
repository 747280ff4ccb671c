"""Fixed rollouts as verl's workers take them, and a scenario's objective as the configuration of verl's PPO trainer."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import hydra
import numpy as np
import torch
from verl import DataProto
from verl.trainer.ppo import core_algos

from adapters import expressed
from adapters.contract import Job, Scenario, Shim, fields_of
from adapters.families import rollouts, verl_data
from adapters.families.verl_shims import UNPINNED
from adapters.inside import completions, data, modeling
from adapters.inside.data import Tokens

ROLLOUTS = Shim(
    "fixed-rollouts",
    "verl's workers are given the scenario's completions and rewards as the batch that its trainer makes of what an"
    " inference engine has sampled (fit in trainer/ppo/ray_trainer.py): nothing is generated; and the response_mask"
    " that a batch may bring with it, which leaves out completions that are not to be trained, for no option does",
)

MODES = {"token": "token-mean", "row": "seq-mean-token-mean", "constant": "seq-mean-token-sum-norm"}
"""What verl's loss_agg_mode calls a scenario's `normaliser`."""
DIVERGENCES = {"k1": "kl", "k2": "mse", "k3": "low_var_kl"}
"""What its kl_loss_type calls a scenario's `divergence`."""
NO_DUAL_CLIP = 1e20
"""verl clips what is below advantage x 3 as well (clip_ratio_c, arXiv 1912.09729), and cannot be told not to; no
ratio is above this one."""
HONOURED = expressed.SAMPLE | {
    *("data.max_length", "data.epochs", "model.architecture", "model.extra_rows", "model.gradient_checkpointing"),
    *("tokenizer.pad_token", "tokenizer.bos", "tokenizer.system", "precision.compute", "sharding.strategy"),
    *(f"window.{name}" for name in ("ranks", "micro_batch_size", "accumulation", "steps")),
    *(f"optimizer.{name}" for name in ("learning_rate", "beta1", "beta2", "eps", "max_grad_norm")),
    *("optimizer.weight_decay", "optimizer.decayed"),
}
"""Fields that both ways to train a policy honour, beside the objective's."""


class Workers(Protocol):
    """What verl's trainer has its workers do, of one rank. Batches are this rank's part."""

    def sampled(self, batch: DataProto) -> DataProto:
        """`old_log_probs` of the model that is trained, as it is."""

    def held(self, batch: DataProto) -> DataProto:
        """`ref_log_prob` of the reference."""

    def update(self, batch: DataProto) -> None:
        """The optimizer steps that are made of it."""


def unsupported(scenario: Scenario, name: str) -> str | None:
    """Why verl's workers cannot be given this objective, in any of the releases; `name` is that of the release."""
    wanted, window = scenario.objective, scenario.window
    if (wanted.advantage == "given") != (wanted.group_size == 1):
        return (
            f"{name} takes a reward as it is in groups of one, and there alone (core_algos.py): no objective.advantage="
            f"{wanted.advantage!r} with objective.group_size={wanted.group_size}"
        )
    if wanted.ratio == "sequence" and wanted.normaliser != "row" and _averages_rows_first():
        return (
            f"{name} averages over each completion first where its ratio is one (compute_policy_loss_gspo in"
            f" core_algos.py), so it has no objective.normaliser={wanted.normaliser!r} with ratio='sequence'"
        )
    if scenario.rows_per_step % wanted.group_size:
        return (
            f"{name} counts a mini-batch in prompts (ppo_mini_batch_size x rollout.n), so it has no"
            f" objective.group_size={wanted.group_size} with {scenario.rows_per_step} rows a step"
        )
    if scenario.meets_last_window:
        return f"{name} is driven with whole mini-batches alone: no window.last_window={window.last_window!r}"
    for path, value, default in fields_of(scenario):
        if value != default and path not in HONOURED and not path.startswith(("objective.", "optimizer.schedule.")):
            return f"{name} is not yet driven with {path}={value!r} of rollouts"
    if not scenario.optimizer.schedule.constant:
        return f"{name} moves its rate once for each rollout (update_actor), so it has no schedule of steps"
    if any(message.role == "assistant" for row in scenario.data.rows for message in row[:-1]):
        return f"{name} trains the last answer of a rollout, so it has no data.rows of several answers"
    dealt = rollouts.dealt(scenario)
    if any(len(part.every) < len(part.numbers) for part in dealt):
        return f"{name} takes a row that comes twice for one more of its group: no such objective.rollout_steps"
    if len({(part.steps, part.epochs) for part in dealt}) > 1:
        return f"{name} has one number of mini-batches and epochs: no objective.rollout_steps={wanted.rollout_steps}"
    return None


def _averages_rows_first() -> bool:
    """Whether its loss with a ratio of completions passes over loss_agg_mode, as up to 0.7.1."""
    return "loss_agg_mode=loss_agg_mode" not in inspect.getsource(core_algos.compute_policy_loss_gspo)


def shims(job: Job) -> Sequence[Shim]:
    """What is changed in every release."""
    unpinned = job.scenario.device == "cpu" and job.scenario.objective.refers
    return [ROLLOUTS, *([UNPINNED] if unpinned else [])]


def configuration(job: Job, more: Sequence[str]) -> Any:
    """verl's PPO trainer's (trainer/config/ppo_trainer.yaml), with the scenario's options over its defaults."""
    with hydra.initialize_config_module("verl.trainer.config", version_base=None):
        return hydra.compose("ppo_trainer", [*options(job), *more])


def options(job: Job) -> list[str]:
    """The scenario as a command line of verl's PPO trainer, as far as releases have it alike."""
    scenario, wanted = job.scenario, job.scenario.objective
    actor, rollout, model = (f"actor_rollout_ref.{part}" for part in ("actor", "rollout", "model"))
    rule, micro_batch = scenario.optimizer, scenario.window.micro_batch_size
    return [
        f"{model}.path={verl_data.quoted(job.checkpoint)}",
        f"+{model}.override_config.attn_implementation={modeling.attention_of(scenario)}",
        f"{model}.enable_gradient_checkpointing={scenario.model.gradient_checkpointing}",
        f"{model}.use_remove_padding=False",  # with it, verl asks for flash attention
        f"{actor}.use_torch_compile=False",  # of the entropy
        f"{actor}.ppo_mini_batch_size={scenario.rows_per_step // wanted.group_size}",
        f"{actor}.ppo_micro_batch_size_per_gpu={micro_batch}",
        f"{actor}.ppo_epochs={rollouts.dealt(scenario)[0].epochs}",
        f"{actor}.loss_agg_mode={MODES[wanted.normaliser]}",
        f"{actor}.policy_loss.loss_mode={'gspo' if wanted.ratio == 'sequence' else 'vanilla'}",
        f"{actor}.clip_ratio_low={wanted.clip_low!r}",
        f"{actor}.clip_ratio_high={wanted.clip_high!r}",
        f"{actor}.clip_ratio_c={NO_DUAL_CLIP!r}",
        f"{actor}.use_kl_loss={wanted.refers}",
        f"{actor}.kl_loss_coef={wanted.beta!r}",
        f"{actor}.kl_loss_type={DIVERGENCES[wanted.divergence]}",
        f"{actor}.optim.lr={rule.learning_rate!r}",
        f"{actor}.optim.weight_decay={rule.weight_decay!r}",
        f"{rollout}.n={wanted.group_size}",
        f"{rollout}.log_prob_micro_batch_size_per_gpu={micro_batch}",
        f"actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu={micro_batch}",
        f"data.max_response_length={width(job)}",
        "algorithm.adv_estimator=grpo",
        f"algorithm.norm_adv_by_std_in_grpo={wanted.advantage == 'group-std'}",
    ]


def width(job: Job) -> int:
    """Tokens that completions are filled up to: what they count as, where this is a constant, or the longest one's."""
    wanted = job.scenario.objective
    return max(longest(job), wanted.normaliser_constant if wanted.normaliser == "constant" else 0)


def longest(job: Job) -> int:
    """Tokens of the longest completion."""
    return max(len(row.ids) - completions.begins(row) for row in data.load_rows(job))


def play(workers: Workers, config: Any, job: Job, rank: int) -> None:
    """Have all steps made, as verl's trainer does it (fit in trainer/ppo/ray_trainer.py)."""
    for batch in batches(config, job):
        mine = batch.chunk(job.scenario.window.ranks)[rank]
        mine = mine.union(workers.sampled(mine))
        if job.scenario.objective.refers:
            mine = mine.union(workers.held(mine))
        workers.update(mine)


def batches(config: Any, job: Job) -> Iterator[DataProto]:
    """All ranks' part of each rollout, one behind the other, with verl's advantages."""
    scenario = job.scenario
    rows = completions.trained(data.load_rows(job), scenario)
    for part in rollouts.dealt(scenario):
        batch = padded([rows[number] for number in part.numbers], scenario, config.data.max_response_length)
        groups = np.array([number // scenario.objective.group_size for number in part.numbers])
        advantages, _ = core_algos.compute_grpo_outcome_advantage(
            token_level_rewards=_at_the_end([scenario.objective.rewards[n] for n in part.numbers], batch["responses"]),
            response_mask=batch["response_mask"],
            index=groups,
            norm_adv_by_std_in_grpo=config.algorithm.norm_adv_by_std_in_grpo,
        )
        meta = {
            "temperature": config.actor_rollout_ref.rollout.temperature,
            "global_token_num": batch["attention_mask"].sum(-1).tolist(),
        }
        yield DataProto.from_dict(tensors={**batch, "advantages": advantages}, meta_info=meta)


def _at_the_end(rewards: Sequence[float], responses: torch.Tensor) -> torch.Tensor:
    """Rewards of completions as verl has them of tokens, of which it takes the sum: [rows, width]."""
    made = torch.zeros(responses.shape)
    made[:, -1] = torch.tensor(rewards)
    return made


def padded(rows: Sequence[Tokens], scenario: Scenario, length: int) -> dict[str, torch.Tensor]:
    """Prompts filled up on the left, and completions on the right to that length, as verl's inference engines return
    them (workers/rollout): tensors [rows, length of prompts and of completions].

    Rows that are not trained have a mask of zeros, as where a rollout hands in a `response_mask` of its own.
    """
    fill = data.pad_id(scenario)
    starts = [completions.begins(row) for row in rows]
    left = max(starts)

    def filled(values: Sequence[Sequence[int]], with_: int) -> torch.Tensor:
        lines = [
            [*[with_] * (left - start), *row, *[with_] * (length - len(row) + start)]
            for row, start in zip(values, starts, strict=True)
        ]
        return torch.tensor(lines)

    ids = filled([row.ids for row in rows], fill)
    attention = filled([[1] * len(row.ids) for row in rows], 0)
    return {
        "prompts": ids[:, :left],
        "responses": ids[:, left:],
        "input_ids": ids,
        "attention_mask": attention,
        "position_ids": (attention.cumsum(1) - 1).clamp_min(0),
        "response_mask": filled([row.loss_mask for row in rows], 0)[:, left:],
    }
