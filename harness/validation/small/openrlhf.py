"""OpenRLHF's supervised trainer in a small run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.contract import Given
from harness.validation.known.ledger import RANKS
from harness.validation.known.options import Options
from harness.validation.read.configuration import truth
from harness.validation.readers import openrlhf
from harness.validation.small import own, rows
from harness.validation.small.kept import Kept
from harness.validation.small.own import Column
from harness.validation.small.place import Place, Small
from harness.validation.small.runs import Run

FRAMEWORK = "openrlhf"
PROGRAM = "openrlhf.cli.train_sft"
DATA = "rows.jsonl"
LEFT_OUT = ("max_samples", "dataset_probs")
"""Of flat names: which rows there are, for they are made."""
OF_A_GPU = ("flash_attn", "packing_samples")
"""What flash attention does."""


def small(kept: Kept, run: Run, place: Place) -> Small:
    """As its command line has it."""
    names = openrlhf.names(kept.configuration)
    options = Options(kept.configuration, kept.release, names)
    cuda = kept.configuration.machine.cuda
    left_out = {names.get(flat, flat) for flat in (*LEFT_OUT, *(() if cuda else OF_A_GPU))}
    said = {key: value for key, value in kept.values.items() if key not in left_out}
    said |= {names.get(flat, flat): value for flat, value in _given(options, run, place).items()}
    attention = names.get("attn_implementation", "attn_implementation")
    if kept.has(attention) and not cuda:
        said.setdefault(attention, "sdpa")
    made = own.of_run(kept, run, lambda: columns(options), _turns(options), lambda one: row(options, one), True)
    given = Given(
        framework=FRAMEWORK,
        program=PROGRAM,
        words=words(said),
        steps=run.steps,
        stage=options.whole("zero_stage", 2),
        compute=run.step.precision.compute,
        device=kept.configuration.machine.device,
        liger=kept.liger,
    )
    return Small(given, {DATA: rows.lines(made)})


def _given(options: Options, run: Run, place: Place) -> dict[str, Any]:
    """What is shrunk, by flat names."""
    micro = run.step.micro_batch_size
    a_step = micro * run.accumulation * RANKS
    warmup = run.step.optimizer.schedule.warmup(run.horizon)
    return {
        "pretrain": str(place.model),
        "dataset": str(place.here / DATA),
        "max_len": min(options.whole("max_len", 2048, 1), run.length),
        "train_batch_size": a_step,
        "micro_train_batch_size": micro,
        "max_epochs": run.epochs,
        **({"max_norm": run.lifted} if run.lifted is not None else {}),
        "lr_warmup_ratio": (warmup - 0.5) / run.horizon if warmup else 0.0,  # it is rounded up to steps
    }


def words(said: Mapping[str, Any]) -> tuple[str, ...]:
    """Flags: a switch stands alone, and a list has all its values behind it."""
    found: list[str] = []
    for key, value in said.items():
        if value is None or value is False:
            continue
        values = [] if value is True else value if isinstance(value, list) else [value]
        found += [f"--{key}", *map(str, values)]
    return tuple(found)


def _turns(options: Options) -> int:
    return 2 if _is_chat(options) and not options.said("output_key") else 1


def _is_chat(options: Options) -> bool:
    return options.truth("apply_chat_template") and not options.truth("pretrain_mode")


def columns(options: Options) -> Sequence[Column]:
    """Of the user's own rows: those that are named, as OpenRLHF reads them."""
    key, answer = str(options.value("input_key", "input")), options.value("output_key")
    alone = not answer or options.truth("pretrain_mode")
    found = [Column((key,), f"by {options.by('input_key')}", answer=alone)]
    return found if not answer else [*found, Column((str(answer),), f"by {options.by('output_key')}")]


def row(options: Options, told: rows.Turns) -> dict[str, Any]:
    """Of the dataset: a text alone, a question and its answer in columns, or messages in one."""
    key, answer = str(options.value("input_key", "input")), options.value("output_key")
    if options.truth("pretrain_mode"):
        text = " ".join(f"{question} {said}" for question, said in told)
        return {key: text, **({str(answer): ""} if answer else {})}  # a column that is named is read
    if _is_chat(options) and options.truth("multiturn"):
        return _conversation(key, answer, told)
    if answer:
        question, said = told[0]
        return {key: question, str(answer): said}
    return {key: rows.messages(told)} if _is_chat(options) else {key: told[0][0]}


def _conversation(key: str, answer: Any, told: rows.Turns) -> dict[str, Any]:
    """Several turns; with a column for answers the last message stands in it."""
    *before, last = rows.messages(told)
    return {key: before, str(answer): last} if truth(answer) else {key: [*before, last]}
