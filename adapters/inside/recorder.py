"""Writes the trace folder as the run goes: what the model received, and the state after every optimizer step.

A file is either written whole under a temporary name and renamed, or grows by one whole line per write, so that a
crash loses nothing that was recorded before it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import inspect
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from adapters.contract import (
    CRASH,
    END,
    HEADER,
    IGNORED_LABEL,
    STATE,
    TRACE_SCHEMA,
    TRAINED,
    TRAINED_PARAMETERS,
    TRAINED_STEPS,
    Job,
    Shim,
    batches_file,
    embedded_file,
    encode_float,
    hidden_file,
    memory_file,
    steps_file,
    tensors_file,
    to_dict,
)
from adapters.inside import numerics
from adapters.inside.attention import PADDING, attention_start, padding_token
from adapters.inside.embedded import Embedded
from adapters.inside.hidden import HiddenStates
from adapters.inside.labels import whole_labels

_WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")


class Enough(Exception):
    """Raised in a framework's loop behind the first steps of a training, where no more of them are asked for."""


class Recorder:
    """The trace of one rank. The files of the whole cell (header, end) are written by rank 0.

    Of a training the trace is that of its first steps. Behind them the recorder keeps what the framework reports, and
    the parameters after the last step.
    """

    def __init__(self, job: Job, rank: int, world: int, shims: Sequence[Shim]) -> None:
        self._folder = Path(job.trace)
        self._rank = rank
        self._record = job.record
        self._trains = job.scenario.model.trains
        self._compiled = job.scenario.model.compiled != "none"
        self._state = STATE[job.scenario.optimizer.kind]
        self._part = job.part
        self._step = job.steps.start
        self._training = job.training
        # who makes too many steps has them recorded, and is told so
        self._stop = sys.maxsize if job.training == "none" else job.steps.stop
        self._last = job.trained.steps.stop
        self._micro_batch = 0
        self._pending: Callable[[Tensor | None], None] | None = None
        self._noisy = job.scenario.model.neftune_alpha > 0
        self._hidden: HiddenStates | None = None
        self._embedded: Embedded | None = None
        self._starts: list[list[int]] | None = None
        (self._folder / "tensors").mkdir(exist_ok=True)
        if self._training == "whole":
            (self._folder / TRAINED).mkdir(exist_ok=True)
        if rank == 0 and job.part != "after":
            _write_json(self._folder / HEADER, header(job, world, shims))

    def watch(self, model: torch.nn.Module) -> None:
        """Record every batch that `model`, the innermost Hugging Face model, receives while it is training.

        Also what its first attention layer gets: models make masks of their own, such as from positions that restart;
        and what its head gets.
        """
        if self._record:
            signature = inspect.signature(model.forward)
            pad = padding_token(getattr(model, "config", None))
            attention = next((m for m in model.modules() if type(m).__name__.endswith("Attention")), None)
            # Not to be compiled with the model; that costs an import of seconds, so that others do without.
            hidden = torch.compiler.disable if self._compiled else _as_it_is
            hook = functools.partial(self._on_forward, signature, pad, attention is not None)
            self._hidden = HiddenStates(model, hidden)
            self._embedded = Embedded(model, self._noisy, hidden)
            model.register_forward_pre_hook(hidden(hook), with_kwargs=True)
            model.register_forward_hook(hidden(self._after_forward))
            if attention is not None:
                inner = functools.partial(self._on_attention, inspect.signature(attention.forward))
                attention.register_forward_pre_hook(hidden(inner), with_kwargs=True)

    def begin(self, parameters: Mapping[str, Tensor]) -> None:
        """Record the parameters before the first optimizer step. What goes on with a run has them already: as they were
        saved."""
        if self._part == "after":
            return
        self._write_tensors({f"param/{name}": value for name, value in parameters.items()})

    @property
    def due(self) -> bool:
        """Whether the state after the step that is made now is to be recorded. It costs time to read."""
        return self._record and (self._step < self._stop or self._step + 1 == self._last)

    def step(
        self,
        loss: float | None,
        grad_norm: float | None,
        learning_rate: float | None,
        parameters: Mapping[str, Tensor],
        *moments: Mapping[str, Tensor],
        logged: float | None = None,
    ) -> None:
        """Record an optimizer step: what the framework reported, and the state after it, unsharded, in its dtypes.

        Names are those of the Hugging Face model; see `bare_name`. `moments`: by the names of `contract.STATE`, in
        that order. Ranks other than 0 may pass empty ones, and so may all where nothing is `due`. `logged`: the loss
        that the framework logs, where it is none over the tokens of the step, which `loss` claims to be.
        """
        line = {
            "step": self._step,
            "loss": encode_float(loss),
            "grad_norm": encode_float(grad_norm),
            "learning_rate": encode_float(learning_rate),
        }
        if self._training == "whole" and self._rank == 0:
            told = loss if logged is None else logged
            self._write_trained({**line, "logged": encode_float(told)}, parameters)
        if self._step >= self._stop:
            self._step += 1
            return
        if self._record:
            _append_line(self._folder / memory_file(self._rank), {"step": self._step, **numerics.peak()})
        self._write_hidden()
        self._write_embedded()
        self._step += 1
        self._micro_batch = 0
        groups = {"param": parameters}
        if self._rank == 0 and self._record:
            groups |= {kind: self._moments(parameters, held) for kind, held in zip(self._state, moments, strict=True)}
        self._write_tensors({f"{group}/{n}": t for group, tensors in groups.items() for n, t in tensors.items()})
        _append_line(self._folder / steps_file(self._rank), line)
        if self._training == "first" and self._step == self._stop:
            self.end()
            raise Enough

    def _write_trained(self, line: Mapping[str, Any], parameters: Mapping[str, Tensor]) -> None:
        """A line for each step of a training, and behind the last one the parameters."""
        _append_line(self._folder / TRAINED_STEPS, line)
        if self._step + 1 == self._last:
            self._save(self._folder / TRAINED_PARAMETERS, parameters)

    def _moments(self, parameters: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those of what is to be trained. What the optimizer holds none of, though it does of others, never had a
        gradient: zeros."""
        wanted = [name for name in parameters if self._trains(name)] if held else []
        return {name: held[name] if name in held else torch.zeros_like(parameters[name]) for name in wanted}

    def end(self) -> None:
        """Wait for the other ranks, then let rank 0 seal the trace with the digest of every file, unless others go on
        with the run."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.barrier()
        if self._rank == 0 and self._part != "before":
            seal = {"schema": TRACE_SCHEMA, "steps": min(self._step, self._stop), "files": digests(self._folder)}
            _write_json(self._folder / END, seal)

    def _on_forward(
        self,
        signature: inspect.Signature,
        pad: int | None,
        wait: bool,
        model: torch.nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """Record a batch, or have it recorded when it gets to the attention layer if `wait`."""
        self._pending, self._starts = None, None
        if self._step >= self._stop or not (model.training and torch.is_grad_enabled()):
            return
        given = signature.bind_partial(*args, **kwargs).arguments
        received: dict[str, Any] = {**given.get("kwargs", {}), **given}
        ids, labels, positions = received["input_ids"], received.get("labels"), received.get("position_ids")
        if labels is not None:
            labels = whole_labels(labels, received.get("logits_to_keep", 0), ids)
        line = {
            "step": self._step,
            "rank": self._rank,
            "micro_batch": self._micro_batch,
            "input_ids": ids.tolist(),
            "loss_mask": None if labels is None else (labels != IGNORED_LABEL).int().tolist(),
            "position_ids": None if positions is None else positions.tolist(),
        }
        self._micro_batch += 1
        if self._hidden is not None:
            self._hidden.begin(ids)
        if self._embedded is not None:
            self._embedded.begin(ids)
        mask = received.get("attention_mask")

        def finish(inner: Tensor | None) -> None:
            start = attention_start(ids, mask, pad)
            if inner is not None:
                start = torch.where(start == PADDING, PADDING, attention_start(ids, inner, None))
            self._starts = start.tolist()
            _append_line(self._folder / batches_file(self._rank), {**line, "attention_start": self._starts})

        if wait:
            self._pending = finish
        else:
            finish(None)

    def _after_forward(self, *_: Any) -> None:
        if self._hidden is not None and self._starts is not None:
            real = [[start if start == PADDING else 0 for start in row] for row in self._starts]
            self._hidden.end(self._micro_batch - 1, real)
        if self._embedded is not None and self._starts is not None:
            self._embedded.end(self._micro_batch - 1, torch.tensor(self._starts) != PADDING)
        self._starts = None

    def _on_attention(
        self, signature: inspect.Signature, _: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Finish the batch that is under way; not again where the layer is computed a second time in backward."""
        if self._pending is None:
            return
        given = signature.bind_partial(*args, **kwargs).arguments
        mask = {**given.get("kwargs", {}), **given}.get("attention_mask")
        finish, self._pending = self._pending, None
        finish(mask if isinstance(mask, Tensor) and mask.dim() == 4 else None)

    def _write_hidden(self) -> None:
        """What the head was given in this step, if that could be told of every micro-batch."""
        taken = {} if self._hidden is None else self._hidden.take()
        if taken and len(taken) == self._micro_batch:
            named = {f"hidden/{number:04d}": states for number, states in taken.items()}
            self._save(self._folder / hidden_file(self._step, self._rank), named)

    def _write_embedded(self) -> None:
        """What the first layer was given of the embedding in this step, if there is anything to tell of it."""
        taken = {} if self._embedded is None else self._embedded.take(self._micro_batch)
        if taken and self._embedded is not None:
            named = {f"embedded/{number:04d}": given for number, given in taken.items()}
            named["scale"] = torch.tensor([self._embedded.scale], dtype=torch.float64)
            self._save(self._folder / embedded_file(self._step, self._rank), named)

    def _write_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        if self._record:
            self._save(self._folder / tensors_file(self._step, self._rank), tensors)

    @staticmethod
    def _save(target: Path, tensors: Mapping[str, Tensor]) -> None:
        partial = _partial(target)
        # Cloned, because optimizers hand out views of one flat buffer and safetensors refuses shared storage.
        save_file({n: t.detach().cpu().clone().contiguous() for n, t in tensors.items()}, partial, {"format": "pt"})
        os.replace(partial, target)


def _as_it_is(hook: Callable[..., Any]) -> Callable[..., Any]:
    return hook


def bare_name(name: str) -> str:
    """A parameter's name as in the Hugging Face model, without the modules wrapped around it or its parts."""
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def header(job: Job, world: int, shims: Sequence[Shim]) -> dict[str, Any]:
    """What ran, on what, with which versions."""
    return {
        "schema": TRACE_SCHEMA,
        "scenario": to_dict(job.scenario),
        "scenario_hash": job.scenario.hash,
        "framework": job.framework,
        "version": job.version,
        "adapter": job.module,
        "fault": job.fault,
        "shims": [to_dict(shim) for shim in shims],
        "packages": packages(),
        "hardware": hardware(job.scenario.device),
        "python": platform.python_version(),
        "argv": sys.argv,
        "ranks": world,
        "started": datetime.now(UTC).isoformat(),
    }


@functools.cache
def packages() -> dict[str, str]:
    """Version of every installed distribution. Takes a tenth of a second at first, so the template asks once."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(name, distribution.version)  # the first on the path is what an import finds
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def hardware(device: str) -> dict[str, Any]:
    """The machine, without its name, and how torch computes on it."""
    name = torch.cuda.get_device_name() if device == "cuda" else None
    machine = {"cpu": _cpu_model(), "cores": os.cpu_count(), "device": name, "threads": torch.get_num_threads()}
    return {**machine, **numerics.told()}


def _cpu_model() -> str:
    try:
        with Path("/proc/cpuinfo").open() as lines:
            names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
            return next(names, platform.machine())
    except OSError:  # not Linux
        return platform.processor() or platform.machine()


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of the trace by its name relative to `folder`; logs and seals are none of it, nor is what
    is kept of a training beside it."""
    result: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        beside = name in (END, CRASH) or name.startswith(f"{TRAINED}/") or path.suffix in (".txt", ".partial")
        if path.is_file() and not beside:
            result[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return result


def _partial(target: Path) -> Path:
    return target.with_name(f"{target.name}.partial")


def _write_json(target: Path, content: Mapping[str, Any]) -> None:
    partial = _partial(target)
    partial.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(partial, target)


def _append_line(path: Path, line: Mapping[str, Any]) -> None:
    with path.open("ab", buffering=0) as out:
        out.write(json.dumps(line).encode() + b"\n")
