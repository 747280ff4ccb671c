"""verl's older trainer, as `torchrun -m verl.trainer.fsdp_sft_trainer key=value ...` starts it: up to 0.7.0."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from hydra.core.plugins import Plugins
from packaging.version import Version

from adapters.contract import ROUTED, Job, Scenario, Shim, fields_of
from adapters.families import verl_data
from adapters.families.verl_shims import MEMORY, fixed, give_the_cpu_memory_figures, leave_autocast_off
from adapters.inside import modeling, sharded
from adapters.inside.rank import answer_init_process_group
from adapters.inside.recorder import Recorder
from adapters.inside.sharded import state, whole
from adapters.inside.stubs import stand_in

VISION = stand_in(
    "qwen_vl_utils",
    "verl 0.7.0 imports it for its datasets (utils/dataset/vision_utils.py), though no row has an image; it would bring"
    " torchvision with it",
)

from verl.trainer import fsdp_sft_trainer  # noqa: E402  after the stand-in
from verl.trainer.fsdp_sft_trainer import FSDPSFTTrainer  # noqa: E402
from verl.utils import distributed  # noqa: E402

HERE = "verl/trainer/fsdp_sft_trainer.py"

PROCESS_GROUP = Shim(
    "process-group",
    "verl calls init_process_group by itself, with NCCL (utils/distributed.py): the ranks meet with gloo where the"
    " launcher means them to",
)
ATTENTION = Shim(
    "sdpa-attention", f"{HERE} asks for flash attention by name, which does not run on a CPU: it gets torch's own"
)
LOADER = Shim(
    "loader-in-process",
    f"{HERE} starts 8 worker processes and pins memory for each of its loaders: rows are read in the rank's process",
)
FULL_PRECISION = Shim(
    "fp32",
    f"{HERE} trains in bf16 only: it stands in its FSDP policy and its autocast, and no option asks for another; for a"
    " scenario in fp32 both get float32, so that weights show to more than three digits",
)

EPOCHS = 10
"""The one schedule with a constant part (`wsd`) keeps it for nine tenths of all epochs; training ends in the first."""

LATER = (
    "torch.distributed.checkpoint.state_dict",
    "verl.utils.checkpoint.fsdp_checkpoint_manager",
)

NOT_YET = (
    "data.max_length",
    "optimizer.kind",
    "precision.reduction",
    "model.lora",
    "precision.masters",
    "sharding.replicas",
    "tokenizer.pad_token",
    "window.micro_batch_tokens",
)
"""Fields that the newer trainer's adapter honours, and this one does not."""


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why this trainer cannot run this scenario; None if it can."""
    name = f"verl {version}"
    if (why := _not_yet(scenario)) is not None:
        return f"{name} is not yet driven {why}"
    if scenario.device == "cuda" and scenario.precision.compute == "fp32":
        return f"{name} asks for flash attention by name ({HERE}), which has no precision='fp32' on device='cuda'"
    rule = scenario.optimizer
    if scenario.sharding.strategy not in ("none", "fsdp"):
        return f"{name} has no sharding={scenario.sharding.strategy!r} in its trainer for supervised training, but FSDP"
    if scenario.precision.compute == "fp16":
        return f"{name} computes in bf16 (fsdp_sft_trainer.py) and scales no loss, so it has no compute='fp16'"
    if scenario.model.architecture in ROUTED:
        # seen in 0.5.0 and 0.6.1 on gloo: the length of a message is not what the other rank expects
        return (
            f"{name} ends in a crash, for its ranks do not exchange the same where tokens are routed to experts"
            f" ({HERE}), so it has no model.architecture={scenario.model.architecture!r}"
        )
    if scenario.loss.auxiliary:
        return f"{name} computes its loss from logits ({HERE}), so it has no auxiliary={scenario.loss.auxiliary:g}"
    if rule.weight_decay and rule.decayed != "all":
        return (
            f"{name} hands the optimizer all parameters in one group ({HERE}), so it has no"
            f" optimizer.weight_decay={rule.weight_decay:g} that exempts norms"
        )
    if rule.eps != 1e-8 and Version(version) < Version("0.6.1"):
        return f"{name} has no option for the optimizer's eps, so it has no optimizer.eps={rule.eps:g}"
    if not scenario.optimizer.schedule.constant:
        return f"{name} is run with its constant rate alone (`wsd`), so it has no other schedule"
    if scenario.data.rows_per_sequence > 1:
        return (
            f"{name} removes padding with sequence parallelism and flash attention only ({HERE}), so it has no"
            f" rows_per_sequence={scenario.data.rows_per_sequence}"
        )
    if scenario.data.row_format == "prompt-completion" and any(len(row) != 2 for row in scenario.data.rows):
        return f"{name} has one prompt and one answer in a row: no row_format={scenario.data.row_format!r} of more"
    return None


def _not_yet(scenario: Scenario) -> str | None:
    """What the newer trainer's adapter honours, and this one does not."""
    uneven = scenario.epochs_begun > 1 or scenario.meets_last_window
    if uneven or scenario.data.order != "given" or scenario.window.resume_after:
        return "beyond one epoch of whole windows, in the given order and in one piece"
    for path, value, default in fields_of(scenario):
        if path in NOT_YET and value != default:
            return f"with {path}={value!r}"
    return None


def shims(job: Job) -> Sequence[Shim]:
    """What `train` changes in this release of verl."""
    precise = [*([FULL_PRECISION] if job.scenario.precision.compute == "fp32" else []), *stubs(job.version)]
    if job.scenario.device == "cuda":
        return precise
    # later releases know that a CPU has no such figures
    memory = [MEMORY] if Version(job.version) < Version("0.6") else []
    return [PROCESS_GROUP, ATTENTION, LOADER, *memory, *precise]


def stubs(version: str) -> Sequence[Shim]:
    """The stand-ins that this release imports: `stand_in` cannot know."""
    return VISION if Version(version) >= Version("0.7") else ()


def prepare() -> None:
    """Import what the trainer otherwise would in every cell."""
    for module in LATER:
        import_module(module)
    modeling.import_all()
    Plugins.instance()  # looks for hydra's plugins once


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the trainer with the scenario as its command line. Raises whatever verl raises."""
    apply(shims(job), job)
    observe(job, recorder)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or it exits, where the reason belongs into the trace
    sys.argv = ["fsdp_sft_trainer", *overrides(job, verl_data.write(job, rank))]
    fsdp_sft_trainer.main()


def apply(applied: Sequence[Shim], job: Job) -> None:
    """Change what the trainer's module finds by these names, in this process."""
    here: Any = fsdp_sft_trainer
    if PROCESS_GROUP in applied:
        answer_init_process_group(job)
        distributed.get_nccl_backend = lambda: "gloo"  # 0.5.0 raises in it where there is no CUDA device
    if MEMORY in applied:
        give_the_cpu_memory_figures()
    if ATTENTION in applied:
        on_a_cpu(modeling.attention_of(job.scenario))
    if FULL_PRECISION in applied:
        here.MixedPrecisionPolicy = fixed(here.MixedPrecisionPolicy, param_dtype=torch.float32)
        leave_autocast_off()


def on_a_cpu(attention: str) -> None:
    """Do what `ATTENTION` and `LOADER` say, in this process."""
    here: Any = fsdp_sft_trainer
    models = here.AutoModelForCausalLM
    models.from_pretrained = fixed(models.from_pretrained, attn_implementation=attention)
    name = "StatefulDataLoader" if hasattr(here, "StatefulDataLoader") else "DataLoader"  # up to 0.4.1
    setattr(here, name, fixed(getattr(here, name), num_workers=0, pin_memory=False, pin_memory_device=""))


def overrides(job: Job, files: str) -> list[str]:
    """The scenario as verl's command line; what it does not say stays at verl's defaults, such as FSDP2."""
    scenario = job.scenario
    rule = scenario.optimizer
    later, resumes = Version(job.version) >= Version("0.6.1"), Version(job.version) >= Version("0.5")
    return [
        f"model.partial_pretrain={verl_data.quoted(job.checkpoint)}",
        f"model.enable_gradient_checkpointing={scenario.model.gradient_checkpointing}",
        f"data.train_files={files}",
        f"data.val_files={files}",  # read after the last step, whether one wants to or not
        f"data.train_batch_size={scenario.rows_per_step}",
        f"data.micro_batch_size_per_gpu={scenario.window.micro_batch_size}",
        f"data.max_length={verl_data.room(job)}",
        *(
            ["data.multiturn.enable=True"]  # MultiTurnSFTDataset
            if scenario.data.row_format == "conversation"
            else ["data.prompt_key=prompt", "data.response_key=response"]  # SFTDataset
        ),
        f"optim.lr={rule.learning_rate!r}",
        f"optim.betas=[{rule.beta1!r},{rule.beta2!r}]",
        *([f"+optim.override_optimizer_config.eps={rule.eps!r}"] if later else []),
        f"optim.weight_decay={rule.weight_decay!r}",
        f"optim.clip_grad={'inf' if rule.max_grad_norm is None else repr(rule.max_grad_norm)}",
        f"optim.{'lr_warmup_steps_ratio' if later else 'warmup_steps_ratio'}=0.0",
        "optim.lr_scheduler=wsd",
        f"trainer.total_epochs={EPOCHS}",
        f"trainer.total_training_steps={scenario.window.steps}",
        *([f"trainer.device={scenario.device}", "trainer.resume_mode=disable"] if resumes else []),
        "trainer.logger=[console]",
        f"trainer.n_gpus_per_node={scenario.window.ranks}",
        "hydra.output_subdir=null",
        "hydra.run.dir=.",
        "hydra/job_logging=none",
    ]


def observe(job: Job, recorder: Recorder) -> None:
    """Let the recorder see the model once it is built, and the state after each step."""
    here: Any = fsdp_sft_trainer
    build, step, fit = FSDPSFTTrainer.__init__, FSDPSFTTrainer.training_step, FSDPSFTTrainer.fit
    clip = here.fsdp2_clip_grad_norm_
    norms: list[float] = []

    def clip_and_keep(*args: Any, **kwargs: Any) -> Any:
        norm = clip(*args, **kwargs)
        norms.append(float(norm))
        return norm

    def build_and_watch(trainer: Any, *args: Any, **kwargs: Any) -> None:
        build(trainer, *args, **kwargs)
        if job.scenario.sharding.strategy != "none":
            sharded.check(trainer.fsdp_model, job)
        recorder.watch(trainer.model)
        recorder.begin(whole(dict(trainer.fsdp_model.named_parameters())) if job.record else {})

    def step_and_record(trainer: Any, batch: Any) -> dict[str, float]:
        metrics: dict[str, float] = step(trainer, batch)
        # train/loss is the mean over ranks only where there are CUDA devices; elsewhere each rank keeps its own
        # (training_step). No norm is logged; this is the one that the trainer got from clipping and looks at to skip
        # a step. train/lr(1e-3) is taken after the schedule has moved on, and in thousandths.
        loss = metrics["train/loss"] if job.scenario.device == "cuda" else None
        parameters = dict(trainer.fsdp_model.named_parameters())
        held = state(parameters, trainer.optimizer) if recorder.due else ({},)
        recorder.step(loss, norms[-1], metrics["train/lr(1e-3)"] / 1e3, *held)
        return metrics

    def fit_and_end(trainer: Any) -> None:
        fit(trainer)
        recorder.end()  # before run_sft destroys the process group

    here.fsdp2_clip_grad_norm_ = clip_and_keep
    FSDPSFTTrainer.__init__ = build_and_watch
    FSDPSFTTrainer.training_step = step_and_record
    FSDPSFTTrainer.fit = fit_and_end
