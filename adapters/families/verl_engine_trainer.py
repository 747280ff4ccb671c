"""verl's supervised trainer on its engines, as `torchrun -m verl.trainer.sft_trainer key=value ...` starts it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from verl.trainer import sft_trainer
from verl.utils.checkpoint import CheckpointHandler

from adapters.contract import Job, Scenario, Shim
from adapters.families import hf_lora, verl_data, verl_engine
from adapters.inside import flat, modeling
from adapters.inside.recorder import Recorder
from adapters.inside.resumed import SAVED, Saved

prepare = verl_engine.prepare


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why verl cannot run this scenario; None if it can."""
    name = f"verl {version}"
    if (why := verl_engine.unsupported(scenario, name)) is not None:
        return why
    if (why := verl_data.unsupported(scenario, name)) is not None:
        return why
    horizon, more = scenario.optimizer.schedule.horizon, scenario.dealing.steps(scenario.epochs_begun)
    if horizon > scenario.window.steps and more > scenario.window.steps:
        return f"{name} trains to the end of its schedule: no schedule.horizon={horizon} with rows for more steps"
    if (why := _unsupported_schedule(scenario)) is not None:
        return f"{name} {why} (_build_lr_scheduler in workers/engine/fsdp/transformer_impl.py)"
    if scenario.data.row_format != "conversation":
        return f"{name} reads conversations only (MultiTurnSFTDataset), not row_format={scenario.data.row_format!r}"
    if scenario.data.rows_per_sequence > 1 and scenario.window.micro_batch_size > 1:
        return (
            f"{name} packs a whole micro-batch into one sequence (model.use_remove_padding), so it has no"
            f" micro_batch_size={scenario.window.micro_batch_size} with"
            f" rows_per_sequence={scenario.data.rows_per_sequence}"
        )
    return _unsupported_lora(scenario, name)


def _unsupported_lora(scenario: Scenario, name: str) -> str | None:
    lora = scenario.model.lora
    if lora is None or "embed_tokens" not in lora.targets:
        return None
    return f"{name} shards embeddings by themselves, which torch cannot with peft's: no model.lora of embed_tokens"


def shims(job: Job) -> Sequence[Shim]:
    """What `train` changes in this release of verl: nothing where there are CUDA devices."""
    return verl_engine.shims(job)


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the trainer with the scenario as its command line. Raises whatever verl raises."""
    verl_engine.apply(job)
    observe(job, recorder)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or it exits, where the reason belongs into the trace
    sys.argv = ["sft_trainer", *overrides(job, verl_data.write(job, rank))]
    sft_trainer.main()


def overrides(job: Job, files: str) -> list[str]:
    """The scenario as verl's command line; what it does not say stays at verl's defaults."""
    scenario = job.scenario
    rule, lora = scenario.optimizer, scenario.model.lora
    packed, tokens = scenario.data.rows_per_sequence, scenario.window.micro_batch_tokens
    return [
        f"model.path={verl_data.quoted(job.checkpoint)}",
        f"+model.override_config.attn_implementation={modeling.attention_of(scenario)}",  # flash attention otherwise
        *(
            [f"+model.lora_adapter_path={verl_data.quoted(hf_lora.folder(job))}", f"model.lora_rank={lora.rank}"]
            if lora
            else []
        ),
        f"model.enable_gradient_checkpointing={scenario.model.gradient_checkpointing}",
        # with it, each micro-batch is one sequence without padding, its positions restarting with each row
        f"model.use_remove_padding={packed > 1 or tokens is not None}",
        "engine=fsdp",
        *(["engine.model_dtype=bf16"] if scenario.precision.masters == "none" else []),
        f"engine.strategy={verl_engine.STRATEGIES[scenario.sharding.strategy]}",
        *hybrid(scenario),
        "engine.use_torch_compile=False",  # of the entropy, which no supervised step needs
        *verl_engine.precision(scenario, "engine"),
        f"data.train_files={files}",
        f"data.train_batch_size={scenario.rows_per_step}",
        f"data.micro_batch_size_per_gpu={scenario.window.micro_batch_size * packed}",
        *([f"data.max_length={scenario.data.max_length}", "data.truncation=right"] if scenario.data.max_length else []),
        f"data.use_dynamic_bsz={tokens is not None}",
        *([f"data.max_token_len_per_gpu={tokens}"] if tokens is not None else []),
        "data.num_workers=0",
        f"optim.lr={rule.learning_rate!r}",
        *verl_engine.optimizer(rule, "optim"),
        f"optim.weight_decay={rule.weight_decay!r}",
        # None is refused (FSDPEngine.optimizer_step); no norm is above infinity
        f"optim.clip_grad={'inf' if rule.max_grad_norm is None else repr(rule.max_grad_norm)}",
        *schedule(scenario),
        f"trainer.total_epochs={scenario.epochs_begun}",
        f"trainer.total_training_steps={rule.schedule.horizon or scenario.window.steps}",
        f"trainer.device={scenario.device}",
        "trainer.logger=[console]",
        f"trainer.resume_mode={'auto' if job.part == 'after' else 'disable'}",
        *([f"trainer.save_freq={job.steps.stop}"] if job.part == "before" else []),
        f"trainer.default_local_dir={SAVED}",
        f"trainer.n_gpus_per_node={scenario.window.ranks}",
        "hydra.output_subdir=null",
        "hydra.run.dir=.",
        "hydra/job_logging=none",
    ]


def hybrid(scenario: Scenario) -> list[str]:
    """How many ranks share the shards, where it is not all of them."""
    replicas = scenario.sharding.replicas
    return [f"engine.fsdp_size={scenario.window.ranks // replicas}"] if replicas > 1 else []


def _unsupported_schedule(scenario: Scenario) -> str | None:
    told, steps = scenario.optimizer.schedule, scenario.optimizer.schedule.warmup(scenario.window.steps)
    if told.decay not in ("none", "cosine"):
        return f"has a constant rate and a cosine, no schedule.decay={told.decay!r}"
    if told.stable_steps:
        return f"falls right after the warm-up, so it has no schedule.stable_steps={told.stable_steps}"
    counted = (told.warmup_from if steps else None, told.least_at)
    if told.decay == "cosine" and counted not in _COSINES:
        return "warms up from 0 with the least rate behind the last step, or from 1/W with it in the last step"
    if steps and told.warmup_from == "least":
        return "has no schedule.warmup_from='least'"
    rounded = int(told.warmup_ratio * told.span(scenario.window.steps))
    if told.warmup_ratio and rounded != steps:
        return f"rounds schedule.warmup_ratio={told.warmup_ratio:g} down to {rounded} steps, where {steps} are meant"
    return None


_COSINES = {
    (None, "after"): True,
    ("zero", "after"): True,
    (None, "last"): False,
    ("first", "last"): False,
}
"""Where a warm-up starts and the least rate is reached, and whether verl counts steps from 0 for it."""


def schedule(scenario: Scenario) -> list[str]:
    """The learning rate's schedule.

    verl's constant schedule warms up from 0 in the first step. Its cosine one can count steps from 1
    (`zero_indexed_step`), and with a least rate of 1 times the base it stays there after the warm-up.
    """
    told, steps = scenario.optimizer.schedule, scenario.optimizer.schedule.warmup(scenario.window.steps)
    warmup = [f"optim.lr_warmup_steps_ratio={told.warmup_ratio!r}"] if told.warmup_ratio else []
    warmup = warmup or ([f"optim.lr_warmup_steps={steps}"] if steps else [])
    if told.decay == "cosine":
        from_0 = _COSINES[told.warmup_from if steps else None, told.least_at]
        counted = [] if from_0 else ["optim.zero_indexed_step=False"]
        return ["optim.lr_scheduler_type=cosine", f"optim.min_lr_ratio={told.least!r}", *warmup, *counted]
    if not steps or told.warmup_from == "zero":
        return ["optim.lr_scheduler_type=constant", *warmup]
    return ["optim.lr_scheduler_type=cosine", "optim.min_lr_ratio=1.0", *warmup, "optim.zero_indexed_step=False"]


def observe(job: Job, recorder: Recorder) -> None:
    """Let the recorder see the model and every step, and end the run where it is to end."""
    verl_engine.watch(job, recorder)
    save, fit = CheckpointHandler.save_checkpoint, sft_trainer.SFTTrainer.fit

    def fit_and_end(trainer: Any) -> None:
        with contextlib.suppress(Saved):
            fit(trainer)
        recorder.end()  # before run_sft destroys the process group

    def save_and_end(handler: Any, step: int) -> None:
        if flat.cannot_save(job.scenario):  # and verl saves at the end, whatever it is told
            raise Saved
        save(handler, step)
        if job.part == "before" and step == job.steps.stop:
            raise Saved

    CheckpointHandler.save_checkpoint = save_and_end
    sft_trainer.SFTTrainer.fit = fit_and_end
