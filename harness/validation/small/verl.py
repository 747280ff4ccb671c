"""verl's supervised trainers in a small run: the old one (`fsdp_sft_trainer`) and the new one (`sft_trainer`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.contract import Given, Sharded
from harness.validation.known.ledger import RANKS
from harness.validation.known.options import Options
from harness.validation.readers import verl
from harness.validation.small import own, rows
from harness.validation.small.kept import Kept
from harness.validation.small.own import Column
from harness.validation.small.place import Place, Small
from harness.validation.small.runs import Run

FRAMEWORK = "verl"
OLD = "adapters.given.verl_trainer"
"""It calls the old trainer's `main`."""
ROWS, PARQUET = "rows.jsonl", "rows.parquet"
WARMUP, WARMUP_BEFORE = "optim.lr_warmup_steps_ratio", "optim.warmup_steps_ratio"
"""Since 0.6.1, and before."""
LEFT_OUT = (
    "optim.lr_warmup_steps",
    "trainer.total_training_steps",
    "data.train_max_samples",
    "data.micro_batch_size",
    "trainer.nnodes",
)
QUIET: Mapping[str, Any] = {
    "trainer.logger": ["console"], "trainer.resume_mode": "disable",
    "trainer.n_gpus_per_node": RANKS, "hydra.output_subdir": None, "hydra.run.dir": ".", "hydra/job_logging": "none",
}  # fmt: skip


def small(kept: Kept, run: Run, place: Place) -> Small:
    """As its command line has it."""
    options = Options(kept.configuration, kept.release, verl.NAMES)
    old = verl.is_old(kept.configuration)
    found = {key: value for key, value in kept.values.items() if key not in LEFT_OUT} | dict(QUIET)
    found["trainer.device"] = kept.configuration.machine.device
    found[WARMUP_BEFORE if kept.has(WARMUP_BEFORE) else WARMUP] = _warmup(run)
    found |= _given(options, run, place) | (_old(place) if old else _new(options, run, place))
    cut = verl.truncation(options) != "error"
    made = own.of_run(kept, run, lambda: columns(options), 1, lambda one: row(options, one), cut)
    given = Given(
        framework=FRAMEWORK,
        program=OLD if old else verl.NEW,
        words=words(found, kept),
        steps=run.steps,
        compute=run.step.precision.compute,
        device=kept.configuration.machine.device,
        liger=kept.liger,
        sharded=_sharded(options, old),
        more={"rows": ROWS, "parquet": PARQUET, "predicting": old and not _turns(options, old)},
    )
    return Small(given, {ROWS: rows.lines(made)})


def _given(options: Options, run: Run, place: Place) -> dict[str, Any]:
    """What both trainers have."""
    micro = run.step.micro_batch_size
    return {
        "data.train_files": str(place.here / PARQUET),
        "data.train_batch_size": micro * run.accumulation * RANKS,
        "data.micro_batch_size_per_gpu": micro,
        "data.max_length": min(options.whole("data.max_length", 1024, 1), run.length),
        "trainer.total_epochs": run.epochs or 1,
        **({"optim.clip_grad": run.lifted} if run.lifted is not None else {}),
    }


def _warmup(run: Run) -> float:
    """The share of the steps that is the warm-up of the run, where it is rounded down to steps."""
    steps = run.step.optimizer.schedule.warmup(run.horizon)
    return (steps + 0.5) / run.horizon if steps else 0.0


def _old(place: Place) -> dict[str, Any]:
    return {"model.partial_pretrain": str(place.model), "data.val_files": str(place.here / PARQUET)}


def _new(options: Options, run: Run, place: Place) -> dict[str, Any]:
    attention = options.configuration.value("model.override_config.attn_implementation")
    found: dict[str, Any] = {
        "model.path": str(place.model),
        "data.num_workers": 0,
        "trainer.total_training_steps": run.horizon,
    }
    cuda = options.configuration.machine.cuda
    if not cuda:
        found["engine.use_torch_compile"] = False
    if attention not in ("eager", "sdpa") and not cuda:
        found["model.override_config.attn_implementation"] = "sdpa"
    if run.step.micro_batch_tokens is not None:
        found["data.max_token_len_per_gpu"] = run.step.micro_batch_tokens
    return found


def _sharded(options: Options, old: bool) -> Sharded:
    named = str(options.value("model.strategy", "fsdp2") if old else options.value("engine.strategy", "fsdp"))
    return "fsdp" if named == "fsdp2" else "fsdp1"


def _turns(options: Options, old: bool) -> bool:
    """Whether its rows are conversations."""
    return not old or options.truth("data.multiturn.enable")


def columns(options: Options) -> Sequence[Column]:
    """Of the user's own rows: messages in a column, or a question and its answer, perhaps each within a column of
    several."""
    old = verl.is_old(options.configuration)
    if _turns(options, old):
        key = "data.multiturn.messages_key" if old else "data.messages_key"
        return [Column((str(options.value(key, "messages")),), f"by {options.by(key)}")]
    return [_column(options, part) for part in ("prompt", "response")]


def _column(options: Options, part: str) -> Column:
    key, inner = f"data.{part}_key", f"data.{part}_dict_keys"
    path = (str(options.value(key, part)), *map(str, options.value(inner) or []))
    return Column(path, f"by {options.by(key, inner)}", answer=part == "response")


def row(options: Options, told: rows.Turns) -> dict[str, Any]:
    """Of the file, in these columns."""
    found: dict[str, Any] = {}
    named = columns(options)
    parts = told[0] if len(named) > 1 else [rows.messages(told)]
    for column, part in zip(named, parts, strict=True):
        own.put(found, column.path, part)
    return found


def words(found: Mapping[str, Any], kept: Kept) -> tuple[str, ...]:
    """Hydra's overrides; one that is not among the options of the release is added to them."""
    return tuple(f"{_sign(key, kept)}{key}={_literal(value)}" for key, value in found.items())


def _sign(key: str, kept: Kept) -> str:
    """`++` puts a key in wherever it comes from. Groups of options have no such sign, nor what is Hydra's own."""
    plain = key.startswith("hydra") or key in ("engine", "optim", "model")
    return "" if plain else "++"


def _literal(value: Any) -> str:
    """As Hydra's grammar has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_literal(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_literal, value)) + "]"
    return str(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "\\'") + "'"
