"""ms-swift's `sft_main`, as `swift sft` calls it, on the scenario's conversations as a local dataset."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from swift import SftArguments, sft_main
from swift.callbacks import callbacks_map
from swift.model import MODEL_MAPPING
from swift.template import TemplateMeta, register_template

from adapters.contract import Job, Scenario, Shim
from adapters.families import hf_liger, hf_lora, hf_trainer, row_files
from adapters.inside.recorder import Recorder
from adapters.inside.resumed import Saved

NAME = "lockstep"
"""Of the template and of the callback."""

USER, ASSISTANT, SYSTEM = "<|user|>", "<|assistant|>", "<|system|>"
"""What opens a message in the scenario's chat template."""

KNOWN = hf_trainer.names(SftArguments)

MSGSPEC = "msgspec==0.20.0"
"""What its rollouts and its FSDP of reference models need beside it."""

LATER = ("swift.trainers.seq2seq_trainer", "scipy.io")
"""Modules that it imports when they are used, so that every rank would do it anew."""


def prepare() -> None:
    """As for the Trainer, and what ms-swift itself imports late."""
    hf_trainer.prepare()
    for module in LATER:
        import_module(module)


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why ms-swift cannot run this scenario; None if it can."""
    if (family := scenario.model.architecture) not in MODEL_MAPPING:
        return (
            f"ms-swift {version} has no model_type {family!r} (model/constant.py), so it has no"
            f" model.architecture={family!r}; if one is registered by hand, its hidden_size, an alias there, is set"
            " to None (compat_zero3 in utils/hf_config.py)"
        )
    if scenario.data.rows_per_sequence > 1:
        return (
            f"ms-swift {version} has no rows_per_sequence={scenario.data.rows_per_sequence}:"
            " its packing chooses by itself which rows share a sequence, and keeps them apart with flash attention only"
        )
    if scenario.data.row_format == "prompt-completion" and any(len(row) % 2 for row in scenario.data.rows):
        return (
            f"ms-swift {version} has a response to every query, so it has no row_format='prompt-completion' of rows"
            " with an odd number of messages"
        )
    if scenario.model.frozen and (
        scenario.model.lora is not None or any(p[-1:] != "*" or set(p[:-1]) & set("*?[") for p in scenario.model.frozen)
    ):
        return (
            f"ms-swift {version} freezes parameters whose names begin alike (utils/torch_utils.py),"
            f" in full training alone, so it has no model.frozen={scenario.model.frozen}"
        )
    return hf_trainer.unsupported(scenario, f"ms-swift {version}")


def lacks_msgspec(version: str) -> str | None:
    """Why what is beyond supervised training cannot be imported in this environment; None if it can."""
    if find_spec("msgspec") is not None:
        return None
    return (
        f"ms-swift {version} imports msgspec and does not ask for it (rlhf_trainers/utils.py): ask for it, as in"
        f" ms-swift=={version},{MSGSPEC}"
    )


def shims(job: Job) -> Sequence[Shim]:
    """What `train` changes in ms-swift and what is below it."""
    return hf_trainer.shims(job)


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the scenario's optimizer steps. Raises whatever ms-swift raises."""
    folder = begin(job, recorder, rank)
    with contextlib.suppress(Saved):
        sft_main(SftArguments(**arguments(job, write_datasets(job, folder))))


def begin(job: Job, recorder: Recorder, rank: int) -> Path:
    """What comes before its entry point; returns the folder of its datasets."""
    hf_trainer.begin(job)
    folder = Path(f"data-{rank}").absolute()
    # Datasets are kept there, named by their content, so that cells that run at once would write the same files.
    os.environ["MODELSCOPE_CACHE"] = str(folder / "cache")
    # A template and a callback of the user's own, registered as a file of --external_plugins does.
    register_template(template(job))
    callbacks_map[NAME] = lambda *_: hf_trainer.Recording(job, recorder, rank)
    return folder


def template(job: Job) -> TemplateMeta:
    """The chat template of the checkpoint. It is needed for training: the tokenizer's own serves ms-swift's inference
    only (template_backend in arguments/base_args/template_args.py).
    """
    config = json.loads((Path(job.checkpoint) / "tokenizer_config.json").read_text())
    space = " " if f"{ASSISTANT} " in config["chat_template"] else ""
    prompt = space.join([USER, "{{QUERY}}", f"{ASSISTANT}{space}"])
    bos = [["bos_token_id"]] if job.scenario.tokenizer.bos else []
    # A list of tokens and a text are put together as tokens; a default system message is the template's to have.
    said = job.scenario.tokenizer.system
    system = {"system_prefix": [*bos, f"{SYSTEM}{space}{{{{SYSTEM}}}}{space}"], "default_system": said}
    return TemplateMeta(
        NAME,
        prefix=bos,
        prompt=[prompt],
        chat_sep=[["eos_token_id"], *([space] if space else [])],
        **(system if said else {}),
    )


def arguments(job: Job, datasets: Sequence[Path]) -> dict[str, Any]:
    """The scenario as ms-swift's arguments; the rest stays at its defaults."""
    scenario = job.scenario
    given = {
        **hf_trainer.arguments(scenario, KNOWN),
        "model": job.checkpoint,
        "resume_from_checkpoint": hf_trainer.saved(job),
        "model_type": scenario.model.architecture,
        "template": NAME,
        "dataset": [str(file) for file in datasets],
        "callbacks": [NAME],
        **tuning(job),
        # ms-swift trains a float32 checkpoint in fp16, unless it is told otherwise (arguments/base_args/model_args.py)
        "torch_dtype": hf_trainer.loaded_in(scenario),
        "fp16": scenario.precision.compute == "fp16",
        "max_length": scenario.data.max_length or scenario.model.max_positions,
        **({"truncation_strategy": "right"} if scenario.data.max_length else {}),
        **({"padding_side": "left"} if scenario.tokenizer.padding_side == "left" else {}),
        "dataset_shuffle": False,
        "train_dataloader_shuffle": scenario.data.order != "given",
        "dataloader_num_workers": 0,
        # on by default in 4.5.3, where torch refuses it without workers (trainers/arguments.py)
        "dataloader_persistent_workers": False,
        "add_version": False,
        # asks the model hub whether the checkpoint is its newest
        "check_model": False,
        **({"router_aux_loss_coef": scenario.loss.auxiliary} if scenario.loss.auxiliary else {}),
        **({"use_liger_kernel": True} if hf_liger.wanted(scenario) else {}),
    }
    return {**given, **fsdp(given), "loss_scale": loss_scale(scenario)}


def fsdp(given: Mapping[str, Any]) -> dict[str, Any]:
    """The Trainer's two options of FSDP as the one that ms-swift has: a file, or JSON (_init_fsdp in
    arguments/sft_args.py)."""
    both = {name: given[name] for name in ("fsdp", "fsdp_config") if name in given}
    return {"fsdp": json.dumps(both), "fsdp_config": None} if both else {}


def loss_scale(scenario: Scenario) -> str:
    """By default responses of the history are trained as well, whatever format a row has."""
    if scenario.data.trained == "everything":
        return "all"
    last = scenario.data.trained == "last-answer" or scenario.data.row_format == "prompt-completion"
    return "last_round" if last else "default"


def tuning(job: Job) -> dict[str, Any]:
    """What is trained of the model, and the loss of a token."""
    wanted, scenario = job.scenario.model, job.scenario
    given: dict[str, Any] = {"enable_dft_loss": True} if scenario.loss.token_weight == "probability" else {}
    if wanted.lora is not None:
        return {**given, "tuner_type": "lora", "adapters": [hf_lora.folder(job)]}
    # prefixes of names, which shell patterns that end in .* are
    prefixes = {"freeze_parameters": [pattern.removesuffix("*") for pattern in wanted.frozen]} if wanted.frozen else {}
    return {**given, "tuner_type": "full", **prefixes}


def write_datasets(job: Job, folder: Path) -> list[Path]:
    """Files of rows as JSON lines: messages, or queries and responses with what came before them as their history."""
    lines = (Path(job.checkpoint) / "rows.jsonl").read_text().splitlines()
    rows = [row(json.loads(line)["messages"], job.scenario) for line in lines]
    return row_files.write(rows, job.scenario, folder)


def row(messages: Sequence[dict[str, str]], scenario: Scenario) -> dict[str, Any]:
    """A row of the dataset: the turns before the last one are its history, pair by pair."""
    if scenario.data.row_format == "conversation":
        return {"messages": messages}
    *before, query, response = (message["content"] for message in messages)
    history = [list(turn) for turn in zip(before[::2], before[1::2], strict=True)]
    return {"query": query, "response": response, "history": history}
