"""verl's policy on its engines, as its PPO trainer has its workers train it: from 0.8.0 on."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from verl import DataProto
from verl.utils import tensordict_utils
from verl.workers.engine.fsdp import transformer_impl
from verl.workers.engine_workers import ActorRolloutRefWorker
from verl.workers.utils.padding import left_right_2_no_padding, no_padding_2_padding

from adapters.contract import Job, Scenario, Shim
from adapters.families import verl_engine, verl_rollouts
from adapters.families.verl_shims import UNPINNED, do_not_pin
from adapters.inside.recorder import Recorder

prepare = verl_engine.prepare


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why this release of verl cannot train this objective; None if it can."""
    name = f"verl {version}"
    return verl_engine.unsupported(scenario, name) or verl_rollouts.unsupported(scenario, name)


def shims(job: Job) -> Sequence[Shim]:
    """What `train` changes in this release of verl."""
    return [*verl_rollouts.shims(job), *verl_engine.shims(job)]


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Let verl's workers train the policy. Raises whatever verl raises."""
    verl_engine.apply(job)
    if UNPINNED in shims(job):
        do_not_pin(transformer_impl)
    verl_engine.watch(job, recorder)
    config = verl_rollouts.configuration(job, options(job))
    verl_rollouts.play(Engines(config, job.scenario.objective.refers), config, job, rank)
    recorder.end()


def options(job: Job) -> list[str]:
    """What the workers of these releases are told beside what all are."""
    scenario, wanted = job.scenario, job.scenario.objective
    actor, reference = "actor_rollout_ref.actor", "actor_rollout_ref.ref"
    rule = scenario.optimizer
    constant = wanted.normaliser == "constant"
    return [
        f"{actor}.strategy={verl_engine.STRATEGIES[scenario.sharding.strategy]}",
        *verl_engine.precision(scenario, f"{actor}.fsdp_config"),
        *verl_engine.precision(scenario, f"{reference}.fsdp_config"),
        *verl_engine.optimizer(rule, f"{actor}.optim"),
        # its grad_clip is read by nothing any more (FSDPEngine.optimizer_step)
        f"{actor}.optim.clip_grad={'inf' if rule.max_grad_norm is None else repr(rule.max_grad_norm)}",
        *([f"{actor}.loss_scale_factor={wanted.normaliser_constant}"] if constant else []),
    ]


class Engines:
    """The workers of one rank, as `verl_rollouts.Workers` has it: the trainer's steps are those of
    trainer/ppo/ray_trainer.py."""

    def __init__(self, config: Any, refers: bool) -> None:
        self._config = config.actor_rollout_ref
        self._actor = self._worker("actor")
        self._reference = self._worker("ref") if refers else None

    def _worker(self, role: str) -> Any:
        worker = ActorRolloutRefWorker(config=copy.deepcopy(self._config), role=role)
        worker.init_model()
        return worker

    def sampled(self, batch: DataProto) -> DataProto:
        """As `_compute_old_log_prob`."""
        return self._logps(batch, self._actor.compute_log_prob, "old_log_probs")

    def held(self, batch: DataProto) -> DataProto:
        """As `_compute_ref_log_prob`."""
        assert self._reference is not None
        return self._logps(batch, self._reference.compute_ref_log_prob, "ref_log_prob")

    def _logps(self, batch: DataProto, compute: Any, name: str) -> DataProto:
        given = left_right_2_no_padding(batch.to_tensordict())
        tensordict_utils.assign_non_tensor(given, calculate_entropy=False, compute_loss=False)
        found = no_padding_2_padding(tensordict_utils.get(compute(given), "log_probs"), given)
        return DataProto.from_dict(tensors={name: found.float()})

    def update(self, batch: DataProto) -> None:
        """As `_update_actor`."""
        actor = self._config.actor
        completions = actor.ppo_mini_batch_size * self._config.rollout.n
        given = left_right_2_no_padding(batch.to_tensordict())
        tensordict_utils.assign_non_tensor(
            given,
            calculate_entropy=False,
            global_batch_size=completions,
            mini_batch_size=completions,
            epochs=actor.ppo_epochs,
            seed=actor.data_loader_seed,
            dataloader_kwargs={"shuffle": actor.shuffle},
            compute_loss=True,
        )
        self._actor.update_actor(given)
