"""Which fields of a scenario the adapter of a framework honours, with which values, and why not the others.

A field that does not stand here for a framework is refused by it, by name, wherever a scenario sets it to something
else than its default: nothing is ever left out in silence. What depends on a release, or on several fields together,
stands in the adapter's own `unsupported`. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adapters.contract import Scenario, fields_of

LOOPS = ("torch", "ddp", "fsdp2", "deepspeed")
"""Fed with token ids by loops of ours."""
TRAINERS = ("trl", "llamafactory", "ms-swift")
"""On the Trainer of Hugging Face."""
FRAMEWORKS = (*LOOPS, *TRAINERS, "openrlhf", "verl")

NOT_YET = "its adapter does not honour it yet"

SAMPLE = frozenset(
    {"name", "seed", "device", "data.rows", "tokenizer.vocabulary", "model.init_std"}
    | {f"model.{name}" for name in ("vocab_size", "hidden_size", "layers", "heads", "kv_heads", "intermediate_size")}
    | {f"model.{name}" for name in ("experts", "experts_per_token", "rms_eps", "rope_theta", "max_positions")}
    | {f"model.{name}" for name in ("tied_embeddings", "attention_softcap", "final_softcap")}
    | {"objective.rewards"}
)
"""Fields that say which rows and which weights: they are in the files of a checkpoint, which every framework loads."""

ROLLOUTS = ("data.max_length", "grpo")
"""A field of sampled completions, and their method: they are given as they were cut."""


@dataclass(frozen=True)
class Expressed:
    """What an adapter can be asked for of one field."""

    values: tuple[Any, ...] | None = None
    """Beside the default; None: every value."""
    because: str = NOT_YET
    """Why no others."""


def only(*values: Any, because: str = NOT_YET) -> Expressed:
    """These values beside the default."""
    return Expressed(values, because)


def no(because: str) -> Expressed:
    """The default alone."""
    return Expressed((), because)


def by(frameworks: tuple[str, ...], says: Expressed = Expressed()) -> dict[str, Expressed]:
    """The same of several frameworks."""
    return dict.fromkeys(frameworks, says)


_TOKEN_IDS = no("it is fed with token ids")
_CHOOSES = no("its packing chooses by itself which rows share a sequence")
_FLASH = "it packs by flash attention only"
_MODEL_OUTPUT = no("the model that it wraps returns its output object")
_WHOLE = no("it keeps the whole state on every rank")
_ONE_DEVICE = no("it keeps parameters and their optimizer on one device")
_ZERO = only("zero1", "zero2", "zero3", because="it shards by DeepSpeed's ZeRO here")
_ROUNDS_BACK = "DeepSpeed puts what it has reduced in float32 back into bfloat16 (runtime/zero/stage_1_and_2.py)"
_MIN_LR_RATE = no("it hands transformers' schedules no argument but min_lr_rate (utils/deepspeed/deepspeed.py)")

_OF_OBJECTIVES = (
    *("beta", "reference", "preference", "preference_smoothing", "sft_coefficient", "group_size", "advantage"),
    *("normaliser", "normaliser_constant", "ratio", "clip_low", "clip_high", "rollout_steps", "truncated"),
    *("divergence", "demonstrations", "shaping"),
)
_ANY = Expressed()
_OBJECTIVES_OF_TRL = {
    "preference": only("sigmoid-mean", "ipo-mean", because="its ipo is of means over tokens (trainer/dpo_trainer.py)"),
    "advantage": only("group-std", because="it takes the mean of a group off its rewards (trainer/grpo_trainer.py)"),
    "divergence": no("its KL term is k3 (_compute_loss in trainer/grpo_trainer.py)"),
    "demonstrations": no("it has no rows but those that it samples (trainer/grpo_trainer.py)"),
}
_NO_REWARDS = no("it has no stage for rewards of given completions (train/tuner.py)")
_OBJECTIVES_OF_LLAMAFACTORY = {
    "beta": _ANY,
    "reference": no("each of its losses that have a beta has a reference (hparams/finetuning_args.py)"),
    "preference": only(
        "ipo-mean", because="its sigmoid is of sums, its ipo of means (concatenated_forward in train/dpo/trainer.py)"
    ),
    "preference_smoothing": _ANY,
    "sft_coefficient": _ANY,
}
_OBJECTIVES_OF_SWIFT = {
    "preference": only("ipo-mean", because="its sigmoid is of sums, its ipo of means (rlhf_trainers/dpo_trainer.py)"),
    "advantage": only("group-std", because="it takes the mean of a group off its rewards (rl_core/advantage.py)"),
    "divergence": no("its KL term is k3 (_compute_loss_and_metrics in rlhf_trainers/grpo_trainer.py)"),
    "demonstrations": no("it has no rows but those that it samples (rlhf_trainers/grpo_trainer.py)"),
}
_OBJECTIVES_OF_OPENRLHF = {
    "preference": only("ipo", because="it adds up the log ratios of a row (models/loss.py)"),
    "advantage": only("group-std", because="a mean is always taken off (ppo_utils/experience_maker.py)"),
    "normaliser": only("row", because="it averages tokens or rows (models/loss.py)"),
    "truncated": no("it trains completions that do not end (trainer/ppo_utils/length_penalty.py)"),
    **dict.fromkeys(("normaliser_constant", "demonstrations", "shaping"), no("it has nothing of the kind")),
}

_NO_PAIRS = no("it has no trainer of preferences")
_NO_DEMONSTRATIONS = no(
    "none of its policy losses has a ratio of its own for rows from elsewhere (trainer/ppo/core_algos.py)"
)
_OBJECTIVES_OF_VERL = {
    **dict.fromkeys(("preference", "preference_smoothing"), _NO_PAIRS),
    **dict.fromkeys(("sft_coefficient", "demonstrations", "shaping"), _NO_DEMONSTRATIONS),
}

TABLE: Mapping[str, Mapping[str, Expressed]] = {
    "data.row_format": by(LOOPS, _TOKEN_IDS) | by((*TRAINERS, "openrlhf")) | by(("verl",)),
    "data.rows_per_sequence": by((*LOOPS, "trl", "verl"))
    | by(("llamafactory", "ms-swift"), _CHOOSES)
    | {"openrlhf": no(f"{_FLASH} (--packing_samples)")},
    "data.packed_length": by((*LOOPS, "trl", "llamafactory"))
    | {
        "ms-swift": no(f"{_FLASH} (_check_padding_free in arguments/sft_args.py)"),
        "openrlhf": no(f"{_FLASH} (cli/train_sft.py)"),
        "verl": no("it packs rows within a step, of which the step has a number that is given (data.use_dynamic_bsz)"),
    },
    "data.parts": by(FRAMEWORKS),
    "data.mixing": by((*LOOPS, "llamafactory"))
    | {
        "trl": no("its mixture puts datasets one behind the other (get_dataset in scripts/utils.py)"),
        "ms-swift": no("it draws from which dataset the next row is (interleave_prob)"),
        "openrlhf": no("it draws from which dataset the next row is (blending_datasets in datasets/utils.py)"),
        "verl": no("it reads its files one behind the other (utils/dataset/multiturn_sft_dataset.py)"),
    },
    "data.epochs": by(FRAMEWORKS),
    "data.order": by((*LOOPS, *TRAINERS))
    | {
        "openrlhf": only("shuffled", because="it has no sampler by length (setup_dataloader in utils/deepspeed)"),
        "verl": only("shuffled", because="its sampler is torch's DistributedSampler (trainer/sft_trainer.py)"),
    },
    "window.resume_after": by(FRAMEWORKS),
    "window.resume_ranks": by((*LOOPS, *TRAINERS))
    | {
        "openrlhf": no(
            "it is not driven yet: its batch is that of all ranks together (--train.batch_size), and has to shrink with"
            " them"
        ),
        "verl": no("its checkpoint is a file for each of so many ranks (utils/checkpoint/fsdp_checkpoint_manager.py)"),
    },
    "window.last_window": by(LOOPS)
    | by(TRAINERS, no("the Trainer makes a step of an epoch's last rows (_run_epoch in transformers' trainer.py)"))
    | {
        "openrlhf": only(
            "carried", because="it goes on with a window in the next epoch (fit in trainer/sft_trainer.py)"
        ),
        "verl": only("dropped", because="it drops what does not fill a step (drop_last=True in its trainer)"),
    },
    "window.micro_batch_tokens": by(("torch", "ddp", "fsdp2", "verl"))
    | {
        "deepspeed": no("its engine takes a number of micro-batches that is given (gradient_accumulation_steps)"),
        "openrlhf": no("its loader counts rows, not tokens (setup_dataloader in utils/deepspeed)"),
    }
    | by(TRAINERS, no("the Trainer's loader counts rows, not tokens (per_device_train_batch_size)")),
    "data.trained": by(("llamafactory", "ms-swift", *LOOPS, "trl"))
    | {
        "openrlhf": only("last-answer", because="it trains prompts of plain texts only (datasets/sft_dataset.py)"),
        "verl": no("it trains every answer and nothing else (utils/dataset/multiturn_sft_dataset.py)"),
    },
    "data.max_length": by((*LOOPS, "trl", "ms-swift", "verl"))
    | {
        "openrlhf": no(
            "it drops rows whose prompt leaves no room, and ends what it cuts in an EOS (datasets/sft_dataset.py)"
        ),
        "llamafactory": no(
            "it cuts question and answer in proportion (infer_seqlen in data/processor/processor_utils.py)"
        ),
    },
    "tokenizer.pad_token": by(FRAMEWORKS),
    "tokenizer.bos": by(FRAMEWORKS),
    "tokenizer.system": by(FRAMEWORKS),
    "tokenizer.trailing_space": by(FRAMEWORKS),
    "tokenizer.padding_side": by((*LOOPS, "ms-swift"))
    | {
        "trl": no("it pads on the right (DataCollatorForLanguageModeling in trainer/sft_trainer.py)"),
        "llamafactory": no("it trains with padding on the right (model/loader.py)"),
        "openrlhf": no("it pads on the right (collate_fn in datasets/sft_dataset.py)"),
        "verl": no("it pads on the right, or not at all (utils/dataset/dataset_utils.py)"),
    },
    "tokenizer.processor": by(LOOPS, _TOKEN_IDS) | by((*TRAINERS, "openrlhf", "verl")),
    "model.architecture": by(FRAMEWORKS),
    "model.extra_rows": by(FRAMEWORKS),
    "model.lora": by((*LOOPS, *TRAINERS, "verl"))
    | {"openrlhf": no("its low-rank updates begin with B = 0 (models/actor.py), not as a checkpoint has them")},
    "model.frozen": by((*LOOPS, *TRAINERS))
    | by(("openrlhf", "verl"), no("it has no option that freezes parameters of a model")),
    "model.gradient_checkpointing": by(FRAMEWORKS),
    "model.compiled": by((*LOOPS, *TRAINERS))
    | {
        "openrlhf": no("it compiles by DeepSpeed's own passes alone (--ds.deepcompile), of which no backend is chosen"),
        "verl": no("its use_torch_compile compiles the entropy alone (workers/engine/fsdp/transformer_impl.py)"),
    },
    "model.attention": by((*LOOPS, "trl")),
    "model.neftune_alpha": by((*LOOPS, *TRAINERS))
    | by(("openrlhf", "verl"), no("it has no option that adds noise to the embedding's output")),
    "window.ranks": by(FRAMEWORKS),
    "window.micro_batch_size": by(FRAMEWORKS),
    "window.accumulation": by(FRAMEWORKS),
    "window.steps": by(FRAMEWORKS),
    "optimizer.kind": by((*LOOPS, *TRAINERS, "verl"))
    | {"openrlhf": no("it has AdamW and Muon (--optim in cli/train_sft.py), whose momentum is no sum of gradients")},
    "optimizer.momentum": by((*LOOPS, *TRAINERS, "openrlhf", "verl")),
    "optimizer.alpha": by((*LOOPS, *TRAINERS, "verl"))
    | {"openrlhf": no("it has AdamW and Muon (--optim in cli/train_sft.py), whose momentum is no sum of gradients")},
    "optimizer.fused": by((*LOOPS, *TRAINERS))
    | {
        "openrlhf": no("it takes DeepSpeed's own by itself, wherever there is CUDA (utils/deepspeed/deepspeed.py)"),
        "verl": no("it is not driven yet: an option of torch's optimizer (optim.override_optimizer_config)"),
    },
    "optimizer.learning_rate": by(FRAMEWORKS),
    "optimizer.beta1": by(FRAMEWORKS),
    "optimizer.beta2": by(FRAMEWORKS),
    "optimizer.eps": by(FRAMEWORKS),
    "optimizer.weight_decay": by((*LOOPS, *TRAINERS, "openrlhf")) | {"verl": Expressed()},
    "optimizer.given_in": by(("deepspeed", "trl", "llamafactory"))
    | {
        "ms-swift": no(
            "it asks the placeholder of such an optimizer for its groups (create_optimizer in trainers/mixin.py)"
        )
    }
    | by(("torch", "ddp", "fsdp2", "verl"), no("it has no engine with a configuration of its own"))
    | {"openrlhf": no("it writes the engine's sections by itself (utils/deepspeed/deepspeed.py)")},
    "optimizer.decayed": by((*LOOPS, *TRAINERS, "verl"))
    | {"openrlhf": no("it exempts norms and biases by name (get_optimizer_grouped_parameters)")},
    "optimizer.groups": by(LOOPS)
    | by(
        TRAINERS, no("the Trainer has two groups, with decay and without (create_optimizer in transformers/trainer.py)")
    )
    | {
        "openrlhf": no("it has two groups, with decay and without (utils/deepspeed/deepspeed_utils.py)"),
        "verl": no("it hands the optimizer all parameters in one group (build_optimizer)"),
    },
    "optimizer.max_grad_norm": by(FRAMEWORKS),
    "optimizer.schedule.decay": by((*LOOPS, *TRAINERS))
    | {
        "openrlhf": only("linear", "cosine", because=_MIN_LR_RATE.because),
        "verl": only("cosine", because="it has a constant rate and a cosine (_build_lr_scheduler)"),
    },
    "optimizer.schedule.least": by(FRAMEWORKS),
    "optimizer.schedule.warmup_steps": by(FRAMEWORKS),
    "optimizer.schedule.warmup_from": by(FRAMEWORKS),
    "optimizer.schedule.warmup_ratio": by(FRAMEWORKS),
    "optimizer.schedule.warmup_shape": by((*LOOPS, *TRAINERS))
    | by(("openrlhf", "verl"), no("its warm-ups are linear")),
    "optimizer.schedule.stable_steps": by((*LOOPS, *TRAINERS))
    | {"openrlhf": _MIN_LR_RATE, "verl": no("its rate falls right after the warm-up")},
    "optimizer.schedule.horizon": by((*LOOPS, *TRAINERS, "verl"))
    | {"openrlhf": no("it takes the steps that it trains for the horizon (cli/train_sft.py)")},
    "optimizer.schedule.power": by((*LOOPS, *TRAINERS))
    | {"openrlhf": _MIN_LR_RATE, "verl": no("it has a constant rate and a cosine")},
    "optimizer.schedule.least_at": by(FRAMEWORKS),
    "precision.compute": by(FRAMEWORKS),
    "precision.loss_scale": by(LOOPS)
    | by(TRAINERS)
    | {
        "openrlhf": no("it leaves DeepSpeed's own first scale, 65536 (get_train_ds_config in utils/deepspeed)"),
        "verl": no("it leaves torch's own first scale, 65536 (workers/engine/fsdp/transformer_impl.py)"),
    },
    "precision.masters": by(("torch", "ddp", "fsdp2", "deepspeed", "trl", "ms-swift", "verl"))
    | {
        "llamafactory": no("its pure_bf16 refuses a CPU (hparams/parser.py)"),
        "openrlhf": no("it leaves DeepSpeed's float32 masters (get_train_ds_config in utils/deepspeed)"),
    },
    "precision.reduction": by(("torch", "fsdp2", "verl"))
    | by(("deepspeed", *TRAINERS), only("bf16", because=_ROUNDS_BACK))
    | {"ddp": only("fp32", because="torch's hook for bfloat16 (bf16_compress_hook) needs NCCL or XCCL")}
    | {"openrlhf": no("it leaves DeepSpeed's own communication_data_type (utils/deepspeed/deepspeed_utils.py)")},
    "sharding.strategy": by(("torch", "ddp"), _WHOLE)
    | {"fsdp2": only("zero2", "zero3", "fsdp", "fsdp1", because="it shards the gradients as well")}
    | by(("deepspeed", "openrlhf"), _ZERO)
    | by(TRAINERS)
    | {"verl": only("fsdp", "fsdp1", because="its trainer for supervised training shards by FSDP")},
    "sharding.replicas": by(("fsdp2", *TRAINERS, "verl"))
    | by(("torch", "ddp"), _WHOLE)
    | by(("deepspeed", "openrlhf"), no("ZeRO shards over all ranks (its hpZ is sharding.secondary)")),
    "sharding.secondary": by(("fsdp2", "deepspeed", *TRAINERS))
    | by(("torch", "ddp"), _WHOLE)
    | {"openrlhf": no("its --ds.zpg is not driven yet")}
    | {"verl": no("its reshard_after_forward says whether, and not among how many (workers/config/engine.py)")},
    "sharding.offload_optimizer": by(("torch", "ddp", "fsdp2"), _ONE_DEVICE)
    | by(("deepspeed", *TRAINERS, "openrlhf"))
    | {"verl": no("it moves an offloaded optimizer back before it steps")},
    "sharding.offload_parameters": by(("torch", "ddp"), _WHOLE)
    | {"fsdp2": no("its CPUOffloadPolicy is not driven yet: on a CPU it would copy nothing")}
    | by(("deepspeed", *TRAINERS))
    | {
        "openrlhf": no("it offloads the optimizer alone (get_ds_train_config in utils/deepspeed/deepspeed.py)"),
        "verl": no("it moves offloaded parameters back before a step begins (workers/engine/fsdp/transformer_impl.py)"),
    },
    "loss.auxiliary": by((*LOOPS, *TRAINERS, "openrlhf"))
    | {"verl": no("it computes its loss from logits and leaves out the router's")},
    "loss.label_smoothing": by((*LOOPS, *TRAINERS))
    | {"openrlhf": no("its SFTLoss has no smoothing (models/loss.py)")}
    | {"verl": no("its sft_loss has no smoothing (workers/utils/losses.py)")},
    "loss.implementation": by(("torch", "ddp"), only("linear-cross-entropy", because="its loop has no loss of Liger's"))
    | by(("fsdp2", "deepspeed"), no("its loop has one way to compute its loss"))
    | by(TRAINERS, only("liger", because="it has no option for torch's linear_cross_entropy"))
    | {
        "openrlhf": no("it computes its loss from logits (models/loss.py)"),
        "verl": no(
            "it computes its loss from logits, and leaves Liger's out (workers/engine/fsdp/transformer_impl.py)"
        ),
    },
    "loss.token_weight": by((*LOOPS, *TRAINERS))
    | {"openrlhf": no("its SFTLoss has no such weight (models/loss.py)")}
    | {"verl": no("its sft_loss has no such weight (workers/utils/losses.py)")},
    "objective.method": by(("torch",))
    | by(("ddp", "fsdp2", "deepspeed"), no("its loop trains on conversations alone"))
    | {"llamafactory": only("dpo", because=_NO_REWARDS.because)}
    | {"verl": only("grpo", because=_NO_PAIRS.because)}
    | by(("trl", "ms-swift", "openrlhf")),
    **{
        f"objective.{name}": by(("torch",))
        | {"trl": _OBJECTIVES_OF_TRL.get(name, _ANY)}
        | {"llamafactory": _OBJECTIVES_OF_LLAMAFACTORY.get(name, _NO_REWARDS)}
        | {"ms-swift": _OBJECTIVES_OF_SWIFT.get(name, _ANY)}
        | {"openrlhf": _OBJECTIVES_OF_OPENRLHF.get(name, _ANY)}
        | {"verl": _OBJECTIVES_OF_VERL.get(name, _ANY)}
        for name in _OF_OBJECTIVES
    },
    "loss.engine_output": by(("torch", "ddp", "fsdp2"), no("it has no engine that a bare loss could be given to"))
    | by(("deepspeed",))
    | by(TRAINERS, _MODEL_OUTPUT)
    | by(("openrlhf", "verl"), no("it computes its loss from logits")),
}
"""By the dotted path of a field, and framework."""


def refused(scenario: Scenario, framework: str) -> str | None:
    """The first field that the framework's adapter does not honour, and why; None if there is none."""
    return next(
        (f"{framework} has no {path}={value!r}: {why}" for path, value, why in refusals(scenario, framework)), None
    )


def refusals(scenario: Scenario, framework: str) -> Iterator[tuple[str, Any, str]]:
    """Every such field: path, value, and why."""
    for path, value, default in fields_of(scenario):
        if path in SAMPLE or value == default or (path, scenario.objective.method) == ROLLOUTS:
            continue
        says = TABLE.get(path, {}).get(framework, no(NOT_YET))
        if says.values is not None and value not in says.values:
            yield path, value, says.because
