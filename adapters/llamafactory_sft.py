"""LLaMA-Factory's `run_exp`, as its command line calls it, on the scenario's conversations as a local dataset."""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, get_args, get_type_hints

from datasets import interleave_datasets

from adapters.contract import Job, Model, Scenario, Shim
from adapters.families import hf_liger, hf_lora, hf_trainer
from adapters.inside.recorder import Recorder
from adapters.inside.resumed import Saved
from adapters.inside.stubs import stand_in

TORCHAUDIO = stand_in(
    "torchaudio",
    "LLaMA-Factory imports it for its multimodal plugins (data/mm_plugin.py, since 0.9.4), which text never reaches",
)

from llamafactory.data import template as templates  # noqa: E402  after its stand-in
from llamafactory.hparams import FinetuningArguments, parser  # noqa: E402  after its stand-in
from llamafactory.model import loader  # noqa: E402  after its stand-in
from llamafactory.train.tuner import run_exp  # noqa: E402  after its stand-in

NAME = "rows"

USER, ASSISTANT, SYSTEM = "<|user|>", "<|assistant|>", "<|system|>"
"""What opens a message in the scenario's chat template."""

# Up to 0.9.1 they are transformers' own.
TrainingArguments = getattr(parser, "TrainingArguments", None) or parser.Seq2SeqTrainingArguments
KNOWN = hf_trainer.names(TrainingArguments)
READS_CHAT_TEMPLATES = hasattr(templates, "parse_template")
"""Since 0.9.2; before it asks for a template of its own, by name."""
ORDERS = hasattr(FinetuningArguments, "disable_shuffling")
"""Whether it can be told to leave the order of rows; since 0.9.2."""

STRATEGIES = {
    "in-turn-until-first": "interleave_under",
    "in-turn-until-last": "interleave_over",
    "in-turn-once": "interleave_once",
}
"""What it calls a scenario's `data.mixing` (hparams/data_args.py)."""


def prepare() -> None:
    """As for the Trainer; and its loader asks each kind of model whether this is one of them (model/loader.py), for
    which transformers imports the configurations of 200 models.
    """
    hf_trainer.prepare()
    import_module("scipy.io")
    for kind in vars(loader).values():
        if hasattr(kind, "_model_mapping"):
            list(kind._model_mapping.keys())


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why LLaMA-Factory cannot run this scenario; None if it can."""
    if scenario.data.rows_per_sequence > 1:
        return (
            f"llamafactory {version} has no rows_per_sequence={scenario.data.rows_per_sequence}:"
            " its neat_packing chooses by itself which rows share a sequence"
        )
    if scenario.data.row_format == "prompt-completion" and any(len(row) % 2 for row in scenario.data.rows):
        return (
            f"llamafactory {version} has an answer to every question in Alpaca's format, so it has no"
            " row_format='prompt-completion' of rows with an odd number of messages"
        )
    if not ORDERS and scenario.data.order == "given" and scenario.epochs_begun > 1:
        return f"llamafactory {version} has no order='given' in several epochs: its sampler shuffles each of them"
    if not ORDERS and scenario.data.order == "given" and scenario.data.parts:
        return f"llamafactory {version} has no order='given' of several datasets: its sampler shuffles their rows"
    strategy = STRATEGIES.get(scenario.data.mixing, "concat")
    if strategy not in get_args(get_type_hints(parser.DataArguments)["mix_strategy"]):
        return f"llamafactory {version} has no mix_strategy={strategy}: no data.mixing={scenario.data.mixing!r}"
    if strategy == "interleave_once" and "without_replacement" not in inspect.getsource(interleave_datasets):
        return (
            f"llamafactory {version} takes interleave_once for a strategy of datasets {installed('datasets')}, which"
            f" has none (interleave_datasets in combine.py): no data.mixing={scenario.data.mixing!r}"
        )
    if scenario.loss.token_weight == "probability" and not hasattr(FinetuningArguments, "use_dft_loss"):
        return f"llamafactory {version} has no use_dft_loss, so it has no token_weight='probability'"
    room = scenario.data.packed_length
    if room is not None and (room + 1) % 8:
        return (
            f"llamafactory {version} pads packed sequences, with one token more, to a multiple of 8, but not their"
            f" positions (train/sft/workflow.py), so it has no packed_length={room}, but {room + 7 - room % 8}"
        )
    wanted = scenario.model
    if wanted.frozen and (wanted.lora is not None or wanted.tied_embeddings or not lowest(wanted)):
        return (
            f"llamafactory {version} freezes the lowest layers with the embedding and the last norm, which it cannot"
            " train without those of the frozen layers (_setup_freeze_tuning in model/adapter.py), so it has no"
            f" model.frozen={wanted.frozen}"
        )
    if scenario.data.trained == "everything" and scenario.data.row_format == "prompt-completion":
        return (
            f"llamafactory {version} has train_on_prompt or mask_history (hparams/data_args.py), so it has no"
            " trained='everything' with row_format='prompt-completion'"
        )
    return hf_trainer.unsupported(scenario, f"llamafactory {version}")


def shims(job: Job) -> Sequence[Shim]:
    """What `train` changes in LLaMA-Factory and what is below it."""
    return [*TORCHAUDIO, *hf_trainer.shims(job)]


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the scenario's optimizer steps. Raises whatever LLaMA-Factory raises."""
    run(job, recorder, rank, write_dataset, config)


def run(
    job: Job,
    recorder: Recorder,
    rank: int,
    write: Callable[[Job, Path], None],
    told: Callable[[Job, Path], dict[str, Any]],
) -> None:
    """With the dataset that `write` leaves in a folder, and the configuration of it."""
    hf_trainer.begin(job)
    folder = Path(f"data-{rank}").absolute()
    folder.mkdir(exist_ok=True)  # where a run goes on, it is there
    write(job, folder)
    if not READS_CHAT_TEMPLATES:
        register_template(job)
    with contextlib.suppress(Saved):
        run_exp(told(job, folder), callbacks=[hf_trainer.Recording(job, recorder, rank)])


def config(job: Job, folder: Path) -> dict[str, Any]:
    """The scenario as what a YAML file of LLaMA-Factory says; the rest stays at its defaults.

    Without a `template` it reads the tokenizer's own chat template.
    """
    given, data = hf_trainer.arguments(job.scenario, KNOWN), job.scenario.data
    del given["gradient_checkpointing"]  # on by default all the same, and switched off by an option of its own
    return {
        **given,
        "model_name_or_path": job.checkpoint,
        "resume_from_checkpoint": hf_trainer.saved(job),
        "cache_dir": str(folder / "cache"),
        "stage": "sft",
        "do_train": True,
        **tuning(job),
        "dataset": ",".join(names(job.scenario)),
        "dataset_dir": str(folder),
        **({"mix_strategy": STRATEGIES[data.mixing]} if data.mixing != "concatenated" else {}),
        **packing(job.scenario),
        "disable_gradient_checkpointing": not job.scenario.model.gradient_checkpointing,
        **({"disable_shuffling": data.order == "given"} if ORDERS else {}),
        **({} if READS_CHAT_TEMPLATES else {"template": NAME}),
        # in either format, what the assistant said before is trained as well unless it is masked
        "mask_history": data.row_format == "prompt-completion" or data.trained == "last-answer",
        "train_on_prompt": data.trained == "everything",
        **({"moe_aux_loss_coef": job.scenario.loss.auxiliary} if job.scenario.loss.auxiliary else {}),
        **({"enable_liger_kernel": True} if hf_liger.wanted(job.scenario) else {}),
    }


def packing(scenario: Scenario) -> dict[str, Any]:
    """Of packed sequences, LLaMA-Factory takes one token off what they may have (hparams/data_args.py), and fills them
    all up to that again."""
    room = scenario.data.packed_length
    return {"cutoff_len": scenario.model.max_positions if room is None else room + 1, "neat_packing": room is not None}


def tuning(job: Job) -> dict[str, Any]:
    """What is trained of the model, and the loss of a token."""
    wanted, scenario = job.scenario.model, job.scenario
    given: dict[str, Any] = {"use_dft_loss": True} if scenario.loss.token_weight == "probability" else {}
    if wanted.lora is not None:
        return {**given, "finetuning_type": "lora", "adapter_name_or_path": _here(hf_lora.folder(job))}
    if wanted.frozen:
        layers = wanted.layers - lowest(wanted)
        return {
            **given,
            "finetuning_type": "freeze",
            "freeze_trainable_layers": layers,
            # by parts of names, so that `norm` would be every norm of the frozen layers as well
            "freeze_extra_modules": "lm_head",
        }
    return {**given, "finetuning_type": "full"}


def lowest(wanted: Model) -> int:
    """How many of the lowest layers are frozen, with the embedding and the last norm; 0 for any other choice."""
    count = len(wanted.frozen) - 2
    frozen = {f"model.layers.{layer}.*" for layer in range(count)} | {"model.embed_tokens.*", "model.norm.*"}
    return count if frozen == set(wanted.frozen) else 0


def write_dataset(job: Job, folder: Path) -> None:
    """A dataset and its `dataset_info.json`: messages as in OpenAI's format, or Alpaca's instruction and output."""
    lines = (Path(job.checkpoint) / "rows.jsonl").read_text().splitlines()
    conversations = [json.loads(line)["messages"] for line in lines]
    if job.scenario.data.row_format == "conversation":
        rows = [{"messages": messages} for messages in conversations]
        tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
        info: dict[str, Any] = {"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": tags}
    else:
        rows = [alpaca([message["content"] for message in messages]) for messages in conversations]
        columns = {"prompt": "instruction", "response": "output", "history": "history"}
        info = {"formatting": "alpaca", "columns": columns}
    if not ORDERS and job.scenario.data.order == "given":
        rows = hf_trainer.shuffled_back(rows, TrainingArguments.seed)
    known = {}
    for name, part in zip(names(job.scenario), job.scenario.data.datasets, strict=True):
        (folder / f"{name}.json").write_text(json.dumps([rows[i] for i in part]))
        known[name] = {"file_name": f"{name}.json", **info}
    (folder / "dataset_info.json").write_text(json.dumps(known))


def names(scenario: Scenario) -> list[str]:
    """Of its datasets, which LLaMA-Factory puts one behind the other (`mix_strategy: concat`, its default)."""
    return [f"{NAME}{number or ''}" for number in range(len(scenario.data.datasets))]


def register_template(job: Job) -> None:
    """The checkpoint's chat template as one of LLaMA-Factory's, as its `data/template.py` registers its own."""
    config = json.loads((Path(job.checkpoint) / "tokenizer_config.json").read_text())
    space = " " if f"{ASSISTANT} " in config["chat_template"] else ""
    told = job.scenario.tokenizer
    own: dict[str, Any] = {
        "format_user": templates.StringFormatter(slots=[space.join([USER, "{{content}}", f"{ASSISTANT}{space}"])]),
        "format_system": templates.StringFormatter(slots=[f"{SYSTEM}{space}{{{{content}}}}{space}"]),
        "format_separator": templates.EmptyFormatter(slots=[space] if space else []),
        "default_system": told.system,
    }
    if told.bos:
        own["format_prefix"] = templates.EmptyFormatter(slots=[{"bos_token"}])
    templates._register_template(NAME, **own)


def alpaca(texts: Sequence[str]) -> dict[str, Any]:
    """A conversation in Alpaca's format: the turns before the last one are its history, pair by pair."""
    *before, question, answer = texts
    return {
        "instruction": question,
        "history": [list(turn) for turn in zip(before[::2], before[1::2], strict=True)],
        "output": answer,
    }


def _here(folder: str) -> str:
    """The folder by a name without a comma, at which LLaMA-Factory would split it (hparams/model_args.py)."""
    with contextlib.suppress(FileExistsError):  # the other rank was first
        Path("adapter").symlink_to(folder)
    return "adapter"
