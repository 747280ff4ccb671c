"""verl's policy in its older worker, which its PPO trainer takes if nothing else is asked for: up to 0.7.1."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from hydra.core.plugins import Plugins
from packaging.version import Version
from verl import DataProto
from verl.trainer.ppo import core_algos
from verl.workers import fsdp_workers

from adapters.contract import ROUTED, Job, Scenario, Shim, Unsupported
from adapters.families import verl_rollouts
from adapters.families.verl_shims import (
    MEMORY,
    UNPINNED,
    do_not_pin,
    give_the_cpu_memory_figures,
    leave_autocast_off,
)
from adapters.inside import modeling, sharded
from adapters.inside.rank import answer_init_process_group
from adapters.inside.recorder import Recorder

HERE = "verl/workers/actor/dp_actor.py"

PROCESS_GROUP = Shim(
    "process-group",
    "verl's worker calls init_process_group by itself, with NCCL (workers/fsdp_workers.py): the ranks meet with gloo"
    " where the launcher means them to",
)
FULL_PRECISION = Shim(
    "fp32",
    f"verl 0.5.0 computes in bf16 only: it stands in the autocast of {HERE}, and no option asks for another; for a"
    " scenario in fp32 autocast is off, so that weights show to more than three digits",
)

LATER = ("torch.distributed.checkpoint.state_dict", "verl.utils.checkpoint.fsdp_checkpoint_manager")


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why this release of verl cannot train this objective; None if it can."""
    name, rule = f"verl {version}", scenario.optimizer
    if scenario.objective.ratio == "sequence" and not hasattr(core_algos, "compute_policy_loss_gspo"):
        return f"{name} has no ratio of sequences (core_algos.py), so it has no objective.ratio='sequence'"
    if rule.eps != 1e-8 and Version(version) < Version("0.6"):
        return f"{name} has no option for the optimizer's eps, so it has no optimizer.eps={rule.eps:g}"
    if rule.weight_decay and rule.decayed != "all":
        return (
            f"{name} hands the optimizer all parameters in one group (workers/fsdp_workers.py), so it has no"
            f" optimizer.weight_decay={rule.weight_decay:g} that exempts norms"
        )
    if scenario.sharding.strategy not in ("none", "fsdp"):
        return f"{name} is not yet driven with sharding={scenario.sharding.strategy!r} of rollouts, but FSDP2"
    if scenario.model.architecture in ROUTED:
        return f"{name} is not yet driven with experts in its older worker ({HERE})"
    return verl_rollouts.unsupported(scenario, name)


def shims(job: Job) -> Sequence[Shim]:
    """What `train` changes in this release of verl."""
    old = Version(job.version) < Version("0.6")
    precise = [FULL_PRECISION] if old and job.scenario.precision.compute == "fp32" else []
    on_a_cpu = [PROCESS_GROUP, MEMORY] if job.scenario.device == "cpu" else []
    return [*verl_rollouts.shims(job), *on_a_cpu, *precise]


def prepare() -> None:
    """Import what would be imported in every cell."""
    for module in LATER:
        __import__(module)
    modeling.import_all()
    Plugins.instance()  # looks for hydra's plugins once


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Let verl's workers train the policy. Raises whatever verl raises."""
    apply(job)
    wanted, longest = job.scenario.objective, verl_rollouts.longest(job)
    if wanted.normaliser == "constant" and longest > wanted.normaliser_constant:
        raise Unsupported(
            f"verl {job.version} divides by the length that completions are filled up to (agg_loss in core_algos.py),"
            f" so it has no objective.normaliser_constant={wanted.normaliser_constant} with one of {longest} tokens"
        )
    config = verl_rollouts.configuration(job, options(job))
    verl_rollouts.play(Workers(config, job, recorder), config, job, rank)
    recorder.end()


def apply(job: Job) -> None:
    """Do what `shims` says, in this process."""
    applied = shims(job)
    here: Any = fsdp_workers
    if PROCESS_GROUP in applied:
        answer_init_process_group(job)
        here.get_nccl_backend = lambda: "gloo"  # 0.5.0 raises in it where there is no CUDA device
    if MEMORY in applied:
        give_the_cpu_memory_figures()
    if UNPINNED in applied:
        do_not_pin(here)
    if FULL_PRECISION in applied:
        leave_autocast_off()


def options(job: Job) -> list[str]:
    """What the workers of these releases are told beside what all are."""
    scenario, rule = job.scenario, job.scenario.optimizer
    actor, reference = "actor_rollout_ref.actor", "actor_rollout_ref.ref"
    later = Version(job.version) >= Version("0.6")
    compute, attention = scenario.precision.compute, modeling.attention_of(scenario)
    mixed = f"{{param_dtype:{compute},reduce_dtype:fp32,buffer_dtype:fp32}}"
    return [
        f"{actor}.strategy=fsdp2",
        f"{actor}.grad_clip={'inf' if rule.max_grad_norm is None else repr(rule.max_grad_norm)}",
        f"++{actor}.optim.betas=[{rule.beta1!r},{rule.beta2!r}]",
        *([f"+{actor}.optim.override_optimizer_config.eps={rule.eps!r}"] if later else []),
        *(f"+{part}.fsdp_config.mixed_precision={mixed}" for part in (actor, reference)),
        # a reference model by itself is loaded in bf16 up to 0.5.0 (workers/fsdp_workers.py)
        *(f"++{part}.fsdp_config.model_dtype=fp32" for part in (actor, reference)),
        *(f"{part}.fsdp_config.dtype={compute}" for part in (actor, reference) if later),
        # which up to 0.5.0 is asked for as flash attention by name, and what is overridden is set behind that
        *([] if later else [f"+actor_rollout_ref.model.override_config._attn_implementation={attention}"]),
    ]


class Workers:
    """Those of one rank, as `verl_rollouts.Workers` has it."""

    def __init__(self, config: Any, job: Job, recorder: Recorder) -> None:
        self._config = config.actor_rollout_ref
        self._actor = self._worker("actor")
        self._reference = self._worker("ref") if job.scenario.objective.refers else None
        self._record(job, recorder)

    def _worker(self, role: str) -> Any:
        worker = fsdp_workers.ActorRolloutRefWorker(config=copy.deepcopy(self._config), role=role)
        worker.init_model()
        return worker

    def _record(self, job: Job, recorder: Recorder) -> None:
        """Let the recorder see the model, and the state after each optimizer step."""
        worker = self._actor
        model, step = worker.actor_module_fsdp, worker.actor._optimizer_step
        if job.scenario.sharding.strategy != "none":
            sharded.check(model, job)
        recorder.watch(model)
        recorder.begin(sharded.whole(dict(model.named_parameters())) if job.record else {})

        def step_and_record() -> Any:
            norm = step()
            # What is logged as actor/pg_loss is the mean of micro-batches over all of a rollout's steps; actor/lr is
            # this rate, which moves on behind them (update_actor in workers/fsdp_workers.py).
            rate = float(worker.actor_lr_scheduler.get_last_lr()[0])
            parameters = dict(model.named_parameters())
            held = sharded.state(parameters, worker.actor_optimizer) if recorder.due else ({},)
            recorder.step(None, float(norm), rate, *held)
            return norm

        worker.actor._optimizer_step = step_and_record

    def sampled(self, batch: DataProto) -> DataProto:
        """As the trainer asks for `old_log_probs`."""
        return self._actor.compute_log_prob(_given(batch)).select(["old_log_probs"])

    def held(self, batch: DataProto) -> DataProto:
        """As it asks for `ref_log_prob`."""
        assert self._reference is not None
        return self._reference.compute_ref_log_prob(_given(batch)).select(["ref_log_prob"])

    def update(self, batch: DataProto) -> None:
        """As it has the policy trained."""
        self._actor.update_actor(batch)


def _given(batch: DataProto) -> DataProto:
    """What a worker may write into, without a copy: one puts all tensors of 0.5.0's into one piece of memory, behind
    which what is added later is read from the wrong place."""
    return DataProto(batch=batch.batch, non_tensor_batch=batch.non_tensor_batch, meta_info=dict(batch.meta_info))
