"""TRL's GRPOTrainer on the scenario's completions, as its documentation calls it: `GRPOTrainer(...).train()`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib.metadata import version as installed
from typing import Any

import trl
from datasets import Dataset
from packaging.version import Version

from adapters.contract import Job, Scenario, Shim, to_dict
from adapters.families import hf_trainer, trl_models, trl_rollouts
from adapters.families.trl_rollouts import Rollouts
from adapters.inside import data
from adapters.inside.recorder import Recorder

HAS = hasattr(trl, "GRPOTrainer")
"""Since 0.14."""
if HAS:
    from trl import GRPOConfig, GRPOTrainer

KNOWN = hf_trainer.names(GRPOConfig) if HAS else []

HANDED_ROLLOUTS = Version(installed("trl")) >= Version("0.29.1")
"""Whether `rollout_func` is asked also where there is no vLLM."""

AVERAGES_TOKENS = HAS and "dapo" in inspect.getsource(GRPOConfig)
"""Whether there is a loss_type for the mean over a step's tokens, since 0.22."""

FIXED = Shim(
    "fixed-rollouts",
    "before 0.29.1 TRL asks a rollout_func with vLLM only, so the model's generate gives the scenario's completions in"
    " the place of sampled ones",
)
SEEDED = Shim(
    "seeded-shuffle",
    "TRL shuffles the rows of a sampling over its steps (_prepare_inputs in trainer/grpo_trainer.py): with each"
    " sampling torch is seeded by a number after which the shuffle leaves them in the scenario's steps",
)

prepare = hf_trainer.prepare


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why TRL's GRPOTrainer cannot run this scenario; None if it can."""
    release = f"trl {version}"
    if not HAS:
        return f"{release} has no GRPOTrainer"
    if "steps_per_generation" not in KNOWN:
        return f"{release} has no steps_per_generation (trainer/grpo_config.py): its GRPOTrainer is not driven yet"
    why = _unsupported_objective(scenario) or trl_rollouts.unsupported(scenario) or trl_rollouts.unshuffled(scenario)
    if why is not None:
        return f"{release} has {why}"
    if not HANDED_ROLLOUTS and trl_rollouts.fills_up(scenario):
        return (
            f"{release} takes what stands behind a completion that does not end for its own: it must be the longest of"
            " its rank's in a sampling"
        )
    return trl_models.unsupported(scenario, release) or hf_trainer.unsupported(scenario, release)


def _unsupported_objective(scenario: Scenario) -> str | None:
    wanted = scenario.objective
    if wanted.group_size < 2:
        return "no objective.group_size=1 (__post_init__ in trainer/grpo_config.py)"
    if wanted.normaliser == "token" and not AVERAGES_TOKENS:
        return "no loss_type='dapo' (trainer/grpo_config.py), so no objective.normaliser='token'"
    if wanted.ratio == "sequence" and "importance_sampling_level" not in KNOWN:
        return "no importance_sampling_level (trainer/grpo_config.py), so no objective.ratio='sequence'"
    return None


def shims(job: Job) -> Sequence[Shim]:
    """What `train` changes in TRL and what is below it."""
    fixed = [] if HANDED_ROLLOUTS else [FIXED]
    seeded = [SEEDED] if trl_rollouts.steps_sampled(job.scenario) > 1 else []
    return [*hf_trainer.shims(job), *fixed, *seeded]


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the scenario's optimizer steps. Raises whatever TRL raises."""
    hf_trainer.begin(job)
    rollouts = Rollouts(job, rank, data.pad_id(job.scenario))
    trainer = GRPOTrainer(
        model=trl_models.model(job),
        reward_funcs=rollouts.reward,
        args=config(job.scenario),
        train_dataset=dataset(job.scenario),
        callbacks=[hf_trainer.Recording(job, recorder, rank)],
        **({"rollout_func": rollouts.rollout} if HANDED_ROLLOUTS else {}),
    )
    if not HANDED_ROLLOUTS:
        trainer.model.generate = rollouts.generate
    trainer.train()


def config(scenario: Scenario) -> GRPOConfig:
    """The scenario as TRL's configuration; what it does not say stays at TRL's defaults."""
    wanted = scenario.objective
    given = hf_trainer.arguments(scenario, KNOWN) | trl_models.options(scenario)
    given |= {
        "num_generations": wanted.group_size,
        "steps_per_generation": scenario.window.accumulation * trl_rollouts.steps_sampled(scenario),
        "num_iterations": trl_rollouts.passes(scenario),
        "shuffle_dataset": False,
        "temperature": 1.0,
        "beta": wanted.beta,
        "epsilon": wanted.clip_low,
        "epsilon_high": wanted.clip_high,
        "mask_truncated_completions": wanted.truncated == "masked",
        **averages(scenario),
    }
    given["scale_rewards"] = wanted.advantage == "group-std"
    if not isinstance(GRPOConfig.scale_rewards, bool):
        given["scale_rewards"] = "group" if given["scale_rewards"] else "none"
    if "max_prompt_length" in KNOWN:  # what is before the last of so many tokens would be cut off
        given["max_prompt_length"] = scenario.model.max_positions
    if "importance_sampling_level" in KNOWN:
        given["importance_sampling_level"] = wanted.ratio
    if "use_bias_correction_kl" in KNOWN:  # which multiplies the KL term by the ratio
        given["use_bias_correction_kl"] = False
    return GRPOConfig(**given)


def averages(scenario: Scenario) -> dict[str, Any]:
    """What the sum over tokens is divided by, by TRL's names."""
    wanted = scenario.objective
    kind = {"token": "dapo", "row": "grpo", "constant": "dr_grpo"}[wanted.normaliser]
    constant = {"max_completion_length": wanted.normaliser_constant} if wanted.normaliser == "constant" else {}
    return {"loss_type": kind, **constant}


def dataset(scenario: Scenario) -> Dataset:
    """The prompt of each group, in the order in which the groups are to come."""
    order = [row for rows in trl_rollouts.rows_sampled(scenario) for row in rows]
    first = [scenario.data.rows[row] for row in order[:: scenario.objective.group_size]]
    return Dataset.from_list([{"prompt": [to_dict(message) for message in row[:-1]]} for row in first])
