"""Everything that decides a run of a few optimizer steps, in groups; its hash; and reading it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from adapters.contract.checking import LARGEST, build, require
from adapters.contract.data import Data, Row
from adapters.contract.dealing import Dealing
from adapters.contract.loss import Loss
from adapters.contract.model import Model
from adapters.contract.objective import Objective
from adapters.contract.optimizer import SQUARES, Optimizer
from adapters.contract.packing import balanced, first_fit
from adapters.contract.precision import Precision
from adapters.contract.sharding import Sharding
from adapters.contract.tokenizer import Tokenizer
from adapters.contract.window import MOST_SEQUENCES, Window

FLAT = {
    "rows": "data.rows",
    "row_format": "data.row_format",
    "rows_per_sequence": "data.rows_per_sequence",
    "vocabulary": "tokenizer.vocabulary",
    "processor": "tokenizer.processor",
    "ranks": "window.ranks",
    "micro_batch_size": "window.micro_batch_size",
    "accumulation": "window.accumulation",
    "steps": "window.steps",
    "max_grad_norm": "optimizer.max_grad_norm",
    "warmup_steps": "optimizer.schedule.warmup_steps",
    "precision": "precision.compute",
    "sharding": "sharding.strategy",
    "offload_optimizer": "sharding.offload_optimizer",
    "engine_output": "loss.engine_output",
    "auxiliary": "loss.auxiliary",
}
"""Fields by what they were called in traces of schema 1, where they stood side by side, and in hashes to this day."""

FIRST = frozenset(
    {*FLAT.values(), "device", "seed"}
    | {f"optimizer.{name}" for name in ("learning_rate", "beta1", "beta2", "eps", "weight_decay")}
    | {
        f"model.{name}"
        for name in (
            *("vocab_size", "hidden_size", "layers", "heads", "kv_heads", "intermediate_size", "rms_eps", "rope_theta"),
            *("max_positions", "tied_embeddings", "init_std"),
        )
    }
) - {"data.row_format", "tokenizer.processor", "loss.auxiliary"}
"""Fields that every hash is of. What came later leaves the hashes of older scenarios alone: it counts where it is not
at its default."""

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Scenario:
    name: str
    data: Data
    tokenizer: Tokenizer
    model: Model = field(default_factory=Model)
    window: Window = field(default_factory=Window)
    optimizer: Optimizer = field(default_factory=Optimizer)
    precision: Precision = field(default_factory=Precision)
    sharding: Sharding = field(default_factory=Sharding)
    loss: Loss = field(default_factory=Loss)
    objective: Objective = field(default_factory=Objective)
    device: Device = "cpu"
    seed: int = 0

    @property
    def rows_per_step(self) -> int:
        return self.window.sequences_per_step * self.data.rows_per_sequence

    @property
    def opening(self) -> int:
        """Tokens that every row begins with, whatever its messages."""
        return self.tokenizer.bos + (1 + len(self.tokenizer.system.split()) if self.tokenizer.system else 0)

    def tokens(self, row: Row) -> int:
        """How many a row has. A tag is a token, and so is a word, and the EOS of an answer."""
        return self.opening + sum(1 + len(m.content.split()) + (m.role == "assistant") for m in row)

    @functools.cached_property
    def sequences(self) -> tuple[tuple[int, ...], ...]:
        """The rows of each sequence of an epoch, as a loop of ours has them; who packs may choose others."""
        rows, each = self.data.mixed, self.data.rows_per_sequence
        if self.data.packed_length is not None:
            return first_fit([self.tokens(row) for row in self.data.rows], self.data.packed_length)
        return tuple(rows[s * each : (s + 1) * each] for s in range(len(rows) // each))

    def cuts_all(self, row: Row) -> bool:
        """Whether no answer of the row begins within `data.max_length` tokens. A tag is a token, and so is a word."""
        before = self.opening
        for message in row:
            if message.role == "assistant":
                break
            before += 1 + len(message.content.split())
        return self.data.max_length is not None and before + 1 >= self.data.max_length

    @property
    def beyond_tokens(self) -> str | None:
        """The field, if any, that says something of datasets or checkpoints to who makes the tokens itself; a loop
        that is fed with token ids cannot express it."""
        if self.data.row_format != "conversation":
            return f"row_format={self.data.row_format!r}"
        return "processor=True" if self.tokenizer.processor else None

    def learning_rate_at(self, step: int) -> float:
        """The learning rate that optimizer step `step` (from 0) should have."""
        return self.optimizer.learning_rate * self.optimizer.schedule.factor(step, self.window.steps)

    @property
    def dealing(self) -> Dealing:
        """How sequences are dealt to steps, micro-batches and ranks."""
        window, sequences = self.window, len(self.sequences)
        return Dealing(sequences, window.ranks, window.micro_batch_size, window.accumulation, window.last_window)

    @property
    def meets_last_window(self) -> bool:
        """Whether training comes to the end of an epoch that is no whole number of windows."""
        return self.dealing.uneven and self.window.steps > len(self.sequences) // self.window.sequences_per_step

    @property
    def epochs_begun(self) -> int:
        """How many epochs training gets to."""
        last = self.window.steps - 1
        return self.dealing.epoch(last, self.dealing.window(last)[2] - 1) + 1

    def micro_batches(self, step: int) -> int:
        """Micro-batches of each rank in optimizer step `step`: the accumulation, or fewer in an epoch's last window; or
        as many as its tokens ask for."""
        if self.window.micro_batch_tokens is not None:
            return len(self._composed[step][0])
        return self.dealing.window(step)[2]

    def sequence_rows(self, step: int, micro_batch: int, rank: int) -> list[list[int]]:
        """Indices into `data.rows`: one list for each sequence of this micro-batch. If the framework draws the order,
        they are places in it."""
        window = self.window
        if window.micro_batch_tokens is not None:
            return [[row] for row in self._composed[step][rank][micro_batch]]
        if window.ranks_at(step) == window.ranks:
            dealt = self.dealing.micro_batch(step, micro_batch, rank)
        else:
            dealt = self._dealt_on(step, micro_batch, rank)
        return [list(self.sequences[s]) for s in dealt]

    @functools.cached_property
    def _composed(self) -> tuple[tuple[tuple[tuple[int, ...], ...], ...], ...]:
        """By step and rank, the rows of each micro-batch, as a loop of ours puts them together by their tokens."""
        return tuple(self._compose(step) for step in range(self.window.steps))

    def _compose(self, step: int) -> tuple[tuple[tuple[int, ...], ...], ...]:
        dealing, window = self.dealing, self.window
        numbers = range(dealing.window(step)[2])
        dealt = [
            [self.sequences[s][0] for n in numbers for s in dealing.micro_batch(step, n, rank)]
            for rank in range(window.ranks)
        ]
        lengths = [[self._kept(self.data.rows[row]) for row in rows] for rows in dealt]
        shared = balanced(lengths, window.micro_batch_tokens or 0)
        return tuple(
            tuple(tuple(rows[i] for i in places) for places in parts) for rows, parts in zip(dealt, shared, strict=True)
        )

    def _kept(self, row: Row) -> int:
        """Tokens of a row that are not cut off."""
        return min(self.tokens(row), self.data.max_length or LARGEST)

    def _dealt_on(self, step: int, micro_batch: int, rank: int) -> list[int]:
        """The sequences of a micro-batch behind a checkpoint from which fewer ranks go on: those that come next. None
        for a rank that is there no more."""
        window, first = self.window, self.window.resume_after
        rounds = (step - first) * window.accumulation + micro_batch
        begin = first * window.sequences_per_step
        begin += (rounds * window.resume_ranks + rank) * window.micro_batch_size
        return list(range(begin, begin + window.micro_batch_size)) if rank < window.resume_ranks else []

    def step_rows(self, step: int) -> list[int]:
        """All rows of an optimizer step, as `sequence_rows` has them."""
        return [
            row
            for number in range(self.micro_batches(step))
            for rank in range(self.window.ranks)
            for sequence in self.sequence_rows(step, number, rank)
            for row in sequence
        ]

    @property
    def hash(self) -> str:
        """Sixteen hex digits over every field but the name; the same on every machine."""
        text = json.dumps(_hashed(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def check(self) -> None:
        """Raises ValueError, in one line, for what no run can have."""
        self.data.check()
        self.model.check()
        self.tokenizer.check(self.model.vocab_size, self.model.extra_rows)
        packed = self.data.packs and self.tokenizer.padding_side == "left"
        require(
            not packed, "tokenizer.padding_side", "left", "right where rows share sequences, whose end is filled up"
        )
        self.window.check()
        self.optimizer.check(self.window.steps)
        self.precision.check()
        self.sharding.check()
        replicas, ranks = self.sharding.replicas, self.window.ranks
        even = replicas == 1 or (ranks % replicas == 0 and ranks > replicas)
        require(even, "sharding.replicas", replicas, f"a divisor of the {ranks} ranks, and fewer")
        shared = self.sharding.secondary
        even = shared == 1 or (ranks % shared == 0 and ranks > shared)
        require(even, "sharding.secondary", shared, f"a divisor of the {ranks} ranks, and fewer")
        self.loss.check(self.model)
        self.objective.check(self.data, self.window, self.loss)
        self._check_objective()
        require(self.seed >= 0, "seed", self.seed, "at least 0")
        self._check_ranks()
        self._check_rows()
        kind, masters = self.optimizer.kind, self.precision.masters
        told = kind not in SQUARES or masters == "fp32"
        require(told, "precision.masters", masters, f"fp32 with {kind}: coarse squares tell nothing of a gradient")

    def _check_objective(self) -> None:
        """What rows have to be where each has a reward or a partner of its own."""
        method, compute, noise = self.objective.method, self.precision.compute, self.model.neftune_alpha
        if method == "sft":
            return
        require(compute == "fp32", "precision.compute", compute, f"fp32 with {method}: coarse numbers tell no ratio")
        require(not noise, "model.neftune_alpha", noise, f"0 with {method}, whose other models have no noise")
        limit = (self.data.max_length or LARGEST) - self.opening
        cut = {tuple(w for m in row for w in (m.role, *m.content.split(), m.role))[:limit] for row in self.data.rows}
        apart = len(cut) == len(self.data.rows)
        require(apart, "data.rows", "alike somewhere", f"all different with {method}, also where they are cut off")
        open_ended = next((n for n, row in enumerate(self.data.rows) if row[-1].role != "assistant"), None)
        require(
            open_ended is None, "data.rows", f"without an answer at the end of row {open_ended}", f"ended with {method}"
        )
        empty = any(map(self.cuts_all, self.data.rows))
        require(
            not empty, "data.max_length", self.data.max_length, f"more, so that each row has an answer with {method}"
        )

    def _check_ranks(self) -> None:
        """What follows on other ranks is told within one epoch, in the given order, where no step is skipped."""
        if not (fewer := self.window.resume_ranks):
            return
        whole = len(self.sequences) >= self.window.sequences_per_step * self.window.steps
        plain = self.data.order == "given" and whole
        require(plain, "window.resume_ranks", fewer, "0 but within one epoch in the given order")
        require(self.precision.compute != "fp16", "window.resume_ranks", fewer, "0 in fp16")
        groups = self.sharding.replicas
        even = groups == 1 or (fewer % groups == 0 and fewer > groups)
        require(even, "window.resume_ranks", fewer, f"a multiple of sharding.replicas, {groups}, and more")

    def _check_rows(self) -> None:
        rows, packed, steps, epochs = (
            len(self.data.rows),
            self.data.rows_per_sequence,
            self.window.steps,
            self.data.epochs,
        )
        self._check_packing()
        self._check_composed()
        needed = self.rows_per_step * steps
        require(needed <= MOST_SEQUENCES, "window", f"of {needed} rows", f"of {MOST_SEQUENCES} at most in all steps")
        enough = self.dealing.steps(epochs) >= steps
        fewest = self.dealing.needed(steps, epochs)
        said = f"which {steps} step{'s' * (steps > 1)} in {epochs} epoch{'s' * (epochs > 1)} need{'s' * (steps == 1)}"
        if self.data.packed_length is not None:
            has = f"packed into {len(self.sequences)} sequences"
            require(enough, "data.rows", has, f"into at least {fewest}, {said}")
        require(enough, "data.rows", f"{rows} long", f"at least {fewest * packed}, {said}")
        whole = rows % packed == 0 or rows >= needed
        require(whole, "data.rows", f"{rows} long", f"a multiple of the {packed} that a sequence has")

    def _check_composed(self) -> None:
        room = self.window.micro_batch_tokens
        if room is None:
            return
        longest = max(map(self._kept, self.data.rows), default=0)
        name = "window.micro_batch_tokens"
        require(longest <= room, name, room, f"at least {longest}, which the longest row has")
        require(not self.data.packs, name, room, "none where rows share sequences")
        require(self.data.order == "given", name, room, "none but in the given order")
        require(not self.window.resume_ranks, name, room, "none where fewer ranks go on")

    def _check_packing(self) -> None:
        room = self.data.packed_length
        if room is None:
            return
        last = self.window.last_window
        require(last == "partial", "window.last_window", last, "partial with data.packed_length")
        longest, most = max(map(self.tokens, self.data.rows), default=0), self.model.max_positions
        require(longest <= room, "data.packed_length", room, f"at least {longest}, which the longest row has")
        require(room <= most, "data.packed_length", room, f"at most model.max_positions, {most}")


def to_dict(value: Any) -> dict[str, Any]:
    """A frozen dataclass of this package as plain JSON types."""
    return dataclasses.asdict(value)


def scenario_from_dict(data: Any) -> Scenario:
    """The inverse of `to_dict`; takes the scenario of a trace of schema 1 too.

    Raises ValueError, in one line, naming the first field that does not fit.
    """
    flat = isinstance(data, Mapping) and "data" not in data
    scenario = build(Scenario, _grouped(data) if flat else data, "scenario")
    scenario.check()
    return scenario


def fields_of(value: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every field of a dataclass and of the groups in it: dotted path, value, default (MISSING where there is none)."""
    for one in dataclasses.fields(value):
        here = getattr(value, one.name)
        default = one.default if one.default_factory is dataclasses.MISSING else one.default_factory()
        group = dataclasses.is_dataclass(here) and default is not None
        yield from fields_of(here, f"{at}{one.name}.") if group else [(f"{at}{one.name}", here, default)]


def _grouped(flat: Mapping[str, Any]) -> dict[str, Any]:
    """A scenario of schema 1 in groups."""
    told = dict(flat)
    schedule = told.pop("schedule", "constant")
    require(schedule in ("constant", "linear-warmup"), "schedule", ascii(schedule), "constant or linear-warmup")
    if schedule == "constant":
        told["warmup_steps"] = 0
    grouped = {n: dict(value) if isinstance(value, dict) else value for n, value in told.items() if n not in FLAT}
    for name, path in FLAT.items():
        if name in told:
            _put(grouped, path, told[name])
    return grouped


def _put(into: dict[str, Any], path: str, value: Any) -> None:
    *groups, name = path.split(".")
    for group in groups:
        inner = into.setdefault(group, {})
        require(isinstance(inner, dict), group, ascii(inner)[:60], "a group of fields")
        into = inner
    into[name] = value


def _hashed(scenario: Scenario) -> dict[str, Any]:
    """What a hash is over: fields as schema 1 had them, and later ones where they are not at their default."""
    flat = {path: name for name, path in FLAT.items()}
    content: dict[str, Any] = {}
    for path, value, default in fields_of(scenario):
        if path == "name" or (path not in FIRST and value == default):
            continue
        if path.split(".")[0] in FLAT:  # what is a group now was one field then
            content[flat.get(path, path)] = _plain(value)
        else:
            _put(content, flat.get(path, path), _plain(value))
    content["schedule"] = "linear-warmup" if content["warmup_steps"] else "constant"
    return content


def _plain(value: Any) -> Any:
    """As JSON; of an optional group, what is not at its default."""
    if dataclasses.is_dataclass(value):
        return {path: _plain(here) for path, here, default in fields_of(value) if here != default}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
