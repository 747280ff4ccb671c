"""The wire format between the harness and what runs inside a framework's environment. Standard library only.

A `Scenario` says everything about a training step; a `Job` is one cell as handed to the ranks; a trace is a
folder of files whose names and schema version stand here, so that both sides read one definition.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints

TRACE_SCHEMA = 1

HEADER = "header.json"
END = "end.json"
CRASH = "crash.json"
INTENT = "intent.json"
"""What the steps should have been, where a trace says it (`harness.intent.file`)."""

PATCH = "LOCKSTEP_PATCH"
"""Environment variable of a framework that a user's patch changes: a `Patch`, as JSON."""

IGNORED_LABEL = -100

MAX_LAYERS = 1024

LATER_FIELDS = {
    "row_format": "conversation",
    "processor": False,
    "auxiliary": 0.0,
    "model.architecture": "llama",
    "model.experts": 1,
    "model.experts_per_token": 1,
    "model.attention_softcap": None,
    "model.final_softcap": None,
}
"""Fields of a Scenario that came later, with what held before them: they leave the hashes of older ones alone."""

Sharding = Literal["none", "zero1", "zero2", "zero3", "fsdp"]
Precision = Literal["fp32", "bf16"]
Decay = Literal["none", "linear", "cosine"]
WarmupFrom = Literal["first", "zero"]
EngineOutput = Literal["model", "loss"]
RowFormat = Literal["conversation", "prompt-completion"]
Architecture = Literal["llama", "qwen2", "qwen3", "gpt2", "gemma2", "mixtral", "stablelm"]
"""Families of models, by what transformers calls their `model_type`."""

ROUTED: frozenset[Architecture] = frozenset({"mixtral"})
"""Families whose tokens are routed to experts."""


class Unsupported(Exception):
    """An adapter cannot express a field of the scenario; the message names the framework and the field."""


@dataclass(frozen=True)
class Model:
    """A tiny decoder; its weights follow from `Scenario.seed` alone."""

    architecture: Architecture = "llama"
    vocab_size: int = 128
    hidden_size: int = 48
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    intermediate_size: int = 96
    """Of each expert, where tokens are routed to experts."""
    experts: int = 1
    """In each layer; 1 for families that route nothing."""
    experts_per_token: int = 1
    rms_eps: float = 1e-5
    rope_theta: float = 10000.0
    max_positions: int = 512
    tied_embeddings: bool = False
    init_std: float = 0.08
    attention_softcap: float | None = None
    """Scores of attention s become c tanh(s / c); None leaves them as they are."""
    final_softcap: float | None = None
    """Of the logits, likewise."""

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.heads


@dataclass(frozen=True)
class Optimizer:
    """AdamW as in Loshchilov & Hutter 2019, bias-corrected."""

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    """Applied to matrices only; norms and biases are exempt, as the common trainers have it."""


@dataclass(frozen=True)
class Schedule:
    """The learning rate of each optimizer step, as a share of the optimizer's own: a warm-up, and what comes after."""

    decay: Decay = "none"
    """How it falls from the end of the warm-up to the end of the run: not, in a straight line, or as half a cosine."""
    least: float = 0.0
    """Share that it falls to."""
    warmup_steps: int = 0
    warmup_from: WarmupFrom = "first"
    """Whether step k (from 0) of the warm-up has (k + 1) / warmup_steps, or k / warmup_steps as transformers has it."""

    def factor(self, step: int, steps: int) -> float:
        """Of optimizer step `step` (from 0) of a run of `steps`."""
        if step < self.warmup_steps:
            return (step + (self.warmup_from == "first")) / self.warmup_steps
        if self.decay == "none":
            return 1.0
        gone = min(1.0, max(0, step - self.warmup_steps) / max(1, steps - self.warmup_steps))
        left = 1.0 - gone if self.decay == "linear" else 0.5 * (1.0 + math.cos(math.pi * gone))
        return self.least + (1.0 - self.least) * left

    @property
    def constant(self) -> bool:
        """Whether every step has the same."""
        return self.decay == "none" and self.warmup_steps == 0

    @property
    def old(self) -> dict[str, Any] | None:
        """The two fields of a scenario that said it before this class was there; None for what they could not say."""
        if self.decay != "none" or self.warmup_from != "first" or self.least:
            return None
        return {"schedule": "linear-warmup" if self.warmup_steps else "constant", "warmup_steps": self.warmup_steps}

    @staticmethod
    def read(told: Any, warmup_steps: Any) -> Schedule:
        """From a scenario as JSON, in either form. Raises TypeError and ValueError."""
        if isinstance(told, str):
            _require(told in ("constant", "linear-warmup"), "schedule", ascii(told), "constant or linear-warmup")
            return Schedule(warmup_steps=0 if told == "constant" else warmup_steps)
        return Schedule(**told)


@dataclass(frozen=True)
class Message:
    role: Literal["user", "assistant"]
    content: str


Row = tuple[Message, ...]


@dataclass(frozen=True)
class Scenario:
    """Everything that decides a run of a few optimizer steps."""

    name: str
    rows: tuple[Row, ...]
    """Conversations in the order of training; `rows_per_step` of them make one global batch."""
    vocabulary: tuple[str, ...]
    """The tokenizer's words, id by id; `scenarios.text` owns the special ones."""
    model: Model = field(default_factory=Model)
    optimizer: Optimizer = field(default_factory=Optimizer)
    ranks: int = 2
    micro_batch_size: int = 1
    accumulation: int = 4
    steps: int = 3
    schedule: Schedule = field(default_factory=Schedule)
    max_grad_norm: float | None = 1.0
    precision: Precision = "fp32"
    sharding: Sharding = "none"
    """`none` asks for nothing: a framework that always shards does it in its own way."""
    offload_optimizer: bool = False
    engine_output: EngineOutput = "model"
    """What the model hands to a wrapping engine: its output object (loss and logits), or the bare loss."""
    rows_per_sequence: int = 1
    """More than 1 packs that many rows into one sequence, attention and positions apart for each."""
    row_format: RowFormat = "conversation"
    """How a framework's dataset is written: a list of messages, or the last answer apart from what is before it."""
    processor: bool = False
    """Whether the checkpoint ships a multimodal processor, though every row is text."""
    auxiliary: float = 0.0
    """What the load-balancing loss of the router is multiplied by: the mean over all forward passes of a step (rank by
    rank, micro-batch by micro-batch) times this is added to the mean over the tokens."""
    device: Literal["cpu", "cuda"] = "cpu"
    seed: int = 0

    @property
    def sequences_per_step(self) -> int:
        return self.ranks * self.accumulation * self.micro_batch_size

    @property
    def rows_per_step(self) -> int:
        return self.sequences_per_step * self.rows_per_sequence

    @property
    def beyond_tokens(self) -> str | None:
        """The field, if any, that says something of datasets or checkpoints to who makes the tokens itself; a loop
        that is fed with token ids cannot express it."""
        if self.row_format != "conversation":
            return f"row_format={self.row_format!r}"
        return "processor=True" if self.processor else None

    def learning_rate_at(self, step: int) -> float:
        """The learning rate that optimizer step `step` (from 0) should have."""
        return self.optimizer.learning_rate * self.schedule.factor(step, self.steps)

    def sequence_rows(self, step: int, micro_batch: int, rank: int) -> list[list[int]]:
        """Indices into `rows`: one list for each sequence of this micro-batch.

        Micro-batches are dealt to the ranks in turn, as accelerate's BatchSamplerShard does.
        """
        first = ((step * self.accumulation + micro_batch) * self.ranks + rank) * self.micro_batch_size
        packed = self.rows_per_sequence
        return [[s * packed + i for i in range(packed)] for s in range(first, first + self.micro_batch_size)]

    @property
    def hash(self) -> str:
        """Sixteen hex digits over every field but the name; the same on every machine."""
        content = to_dict(self)
        del content["name"]
        if self.schedule.old is not None:
            content |= self.schedule.old
        for path, before in LATER_FIELDS.items():
            *above, name = path.split(".")
            inner = functools.reduce(lambda part, key: part[key], above, content)
            if inner[name] == before:
                del inner[name]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def to_dict(value: Any) -> dict[str, Any]:
    """A frozen dataclass of this module as plain JSON types."""
    return dataclasses.asdict(value)


def scenario_from_dict(data: Any) -> Scenario:
    """The inverse of `to_dict`. Raises ValueError, in one line, naming the first field that does not fit."""
    fields = dict(data) if isinstance(data, dict) else {}
    try:
        fields["rows"] = tuple(tuple(Message(**m) for m in row) for row in fields["rows"])
        fields["vocabulary"] = tuple(fields["vocabulary"])
        fields["model"] = Model(**fields["model"])
        fields["optimizer"] = Optimizer(**fields["optimizer"])
        fields["schedule"] = Schedule.read(fields["schedule"], fields.pop("warmup_steps", 0))
        scenario = Scenario(**fields)
    except KeyError as error:
        raise ValueError(f"scenario lacks {error}") from None
    except TypeError as error:
        raise ValueError(f"scenario cannot be read: {error}") from None
    _check_types("scenario", scenario)
    _check_model(scenario.model)
    _check_optimizer(scenario.optimizer)
    _check_scenario(scenario)
    return scenario


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """Annotations by field; worked out once, for a report reads hundreds of scenarios."""
    return get_type_hints(kind)


def _check_types(at: str, value: Any) -> None:
    """Every field of a frozen dataclass, and of those in it, against its annotation."""
    for name, kind in _hints(value.__class__).items():
        part = getattr(value, name)
        if not _is(part, kind):
            shown = ascii(part)
            raise ValueError(f"{at}.{name} is {shown if len(shown) < 60 else shown[:60] + '...'}, not {_named(kind)}")
        if dataclasses.is_dataclass(part):
            _check_types(f"{at}.{name}", part)


def _is(value: Any, kind: Any) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin is tuple:
        return isinstance(value, tuple) and all(_is(part, inner[0]) for part in value)
    if inner:  # a union
        return any(_is(value, one) for one in inner)
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    if kind is Message:
        return type(value) is Message and all(_is(getattr(value, n), k) for n, k in _hints(Message).items())
    return type(value) is kind


def _named(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")


def _require(right: bool, at: str, value: object, wanted: str) -> None:
    if not right:
        raise ValueError(f"scenario.{at} is {value}, not {wanted}")


def _check_model(model: Model) -> None:
    for name, kind in _hints(Model).items():
        value = getattr(model, name)
        _require(kind not in (int, float) or 0 < value < 2**31, f"model.{name}", value, "1 to 2^31")
    for name in ("attention_softcap", "final_softcap"):
        cap = getattr(model, name)
        _require(cap is None or 0 < cap < 2**31, f"model.{name}", cap, "above 0")
    _require(model.layers <= MAX_LAYERS, "model.layers", model.layers, f"at most {MAX_LAYERS}")
    _require(model.hidden_size % model.heads == 0, "model.heads", model.heads, f"a divisor of {model.hidden_size}")
    _require(model.heads % model.kv_heads == 0, "model.kv_heads", model.kv_heads, f"a divisor of {model.heads}")
    _require(model.head_dim % 2 == 0, "model.heads", model.heads, "such that a head has an even size")
    routed, each = model.architecture in ROUTED, model.layers * model.experts
    _require(routed or model.experts == 1, "model.experts", model.experts, f"1, as {model.architecture} has no router")
    _require(each <= MAX_LAYERS, "model.experts", model.experts, f"at most {MAX_LAYERS} in all layers together")
    chosen = model.experts_per_token
    _require(chosen <= model.experts, "model.experts_per_token", chosen, f"at most {model.experts}")


def _check_optimizer(rule: Optimizer) -> None:
    _require(rule.learning_rate > 0, "optimizer.learning_rate", rule.learning_rate, "above 0")
    for name in ("beta1", "beta2"):
        value = getattr(rule, name)
        _require(0 <= value < 1, f"optimizer.{name}", value, "in [0, 1)")
    for name in ("eps", "weight_decay"):
        value = getattr(rule, name)
        _require(value >= 0, f"optimizer.{name}", value, "at least 0")


def _check_scenario(scenario: Scenario) -> None:
    for name in ("ranks", "micro_batch_size", "accumulation", "steps", "rows_per_sequence"):
        value = getattr(scenario, name)
        _require(value >= 1, name, value, "at least 1")
    _require(scenario.seed >= 0, "seed", scenario.seed, "at least 0")
    _require(scenario.schedule.warmup_steps >= 0, "schedule.warmup_steps", scenario.schedule.warmup_steps, "at least 0")
    _require(0 <= scenario.schedule.least <= 1, "schedule.least", scenario.schedule.least, "0 to 1")
    aux, routes = scenario.auxiliary, scenario.model.architecture in ROUTED
    _require(aux >= 0, "auxiliary", aux, "at least 0")
    _require(routes or not aux, "auxiliary", aux, f"0, as {scenario.model.architecture} has no router")
    limit = scenario.max_grad_norm
    _require(limit is None or limit > 0, "max_grad_norm", limit, "above 0")
    _require(all(scenario.rows), "rows", "without messages somewhere", "one conversation each")
    needed = scenario.rows_per_step * scenario.steps
    _require(len(scenario.rows) >= needed, "rows", f"{len(scenario.rows)} long", f"the {needed} that its steps need")
    words = scenario.vocabulary
    _require(len(set(words)) == len(words), "vocabulary", "repeating a word", "one id a word")
    _require(len(words) == scenario.model.vocab_size, "vocabulary", f"{len(words)} long", "model.vocab_size")


@dataclass(frozen=True)
class Shim:
    """Something changed in a framework so that it runs here, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Patch:
    """What a user changes in a framework, as the processes that run it are told of it."""

    shim: Shim
    """As it stands in the trace."""
    sha256: str
    file: str | None
    """A Python file whose `apply()` is called; None for a diff, which the installed files have had applied to them."""

    def dumps(self) -> str:
        return json.dumps(to_dict(self))

    @staticmethod
    def loads(text: str) -> Patch:
        data = json.loads(text)
        return Patch(**{**data, "shim": Shim(**data["shim"])})


@dataclass(frozen=True)
class Job:
    """One cell, as each of its ranks reads it."""

    adapter: str
    """Module name, such as `adapters.deepspeed_sft`."""
    framework: str
    version: str
    scenario: Scenario
    checkpoint: str
    """Folder with the model, tokenizer and `rows.jsonl`, made by `scenarios.checkpoint`."""
    trace: str
    """Folder that the trace is written to; it exists."""
    fault: str | None = None
    """Name in `adapters.faults`, for the torch reference only."""
    record: bool = True
    """False runs the same steps without writing tensors: the yardstick of the recorder's own cost."""

    def dumps(self) -> str:
        return json.dumps(to_dict(self))

    @staticmethod
    def loads(text: str) -> Job:
        data = json.loads(text)
        return Job(**{**data, "scenario": scenario_from_dict(data["scenario"])})


def steps_file(rank: int) -> str:
    """One line per optimizer step: loss, grad_norm and learning_rate as the framework reported them."""
    return f"steps-r{rank:02d}.jsonl"


def batches_file(rank: int) -> str:
    """One line per micro-batch: what the model received."""
    return f"batches-r{rank:02d}.jsonl"


def done_file(rank: int) -> str:
    """In the folder for temporary files of the cell's processes: exists once a rank has run to its end."""
    return f"done-r{rank:02d}"


def tensors_file(step: int, rank: int = 0) -> str:
    """State after `step` optimizer steps (0: before the first).

    Rank 0 holds `param/NAME`, `exp_avg/NAME`, `exp_avg_sq/NAME`, unsharded; other ranks `param/NAME` only.
    """
    return f"tensors/step-{step:04d}.safetensors" if rank == 0 else f"tensors/step-{step:04d}-r{rank:02d}.safetensors"


def hidden_file(step: int, rank: int = 0) -> str:
    """What the model's output head was given in optimizer step `step` (from 0), as far as it could be told.

    `hidden/MMMM` is that of micro-batch MMMM: [positions, hidden size], in the framework's own dtype; a position for
    every token that is no padding and has another one behind it in its row, row by row.
    """
    return f"tensors/hidden-{step:04d}-r{rank:02d}.safetensors"


def encode_float(value: float | None) -> float | str | None:
    """A float for JSON: unrounded, non-finite ones as the strings NaN, Infinity and -Infinity."""
    if value is None:
        return None
    value = float(value)
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value
