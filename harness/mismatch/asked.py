"""Asking an environment, and keeping what it answered so that it is not asked again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from torch import Tensor

from adapters import contract
from adapters.contract import CHOSEN, EVERY, Scenario, tensor
from harness import files, processes
from harness.environments.environment import Environment
from harness.history import identity
from harness.launch.asking import started
from harness.launch.outcome import signal_name
from harness.mismatch.sources import Source, whole
from harness.traces import tensor_file

ANSWERS = "answers"
_ERROR = re.compile(r"^(?:\[\w+\]: )?((?:\w+\.)*\w*(?:Error|Exception)\b.*)$")


@cache
def _own() -> str:
    """What decides an answer here. Read once: a change of it while others are asked is not theirs."""
    return identity.digest((Path(contract.__file__).parents[1] / "logprobs",))


class NoAnswer(Exception):
    """An environment did not answer; one line."""


@dataclass(frozen=True)
class Job:
    """What every environment is asked."""

    scenario: Scenario
    checkpoint: Path
    """Its folder, absolute."""
    ids: Tensor
    """int64 [rows, length]."""
    out: Path
    """The command's folder, absolute."""
    timeout: float
    """Seconds for one dtype of one environment."""

    def known(self, source: Source, dtype: str, environment: Environment) -> Path:
        """Where an answer is kept: its name says of what it is."""
        decides = [asdict(self.scenario.model), self.scenario.seed, self.ids.tolist(), environment.lock_hash, _own()]
        told = json.dumps(decides, sort_keys=True)
        name = f"{source.request.framework}-{dtype}-{hashlib.sha256(told.encode()).hexdigest()[:12]}.safetensors"
        return self.out / ANSWERS / name


Found = Mapping[str, Mapping[str, Tensor]]
"""By way, what it tells: CHOSEN, and EVERY where it has logits."""


def kept(job: Job, source: Source, dtype: str, environment: Environment) -> Found | None:
    """The answer of an earlier time, if it is there and whole."""
    try:
        return _read(job, source, dtype, environment)
    except NoAnswer:
        return None


def ask(job: Job, source: Source, dtype: str, environment: Environment) -> Found:
    """One process of the environment computes all that it can in a dtype. Raises NoAnswer, and OSError."""
    place = job.known(source, dtype, environment)
    place.parent.mkdir(exist_ok=True)
    words = ("adapters.logprobs.answered", f"adapters.logprobs.{source.module}")
    asked = place.with_suffix(".json")
    files.replace(asked, json.dumps({"checkpoint": str(job.checkpoint), "dtype": dtype, "ids": job.ids.tolist()}))
    try:
        with started(environment, *words, str(asked), str(place)) as (start, folder):
            done = processes.run(start.command, start.environment, timeout=job.timeout, folder=folder, cwd=folder)
    except processes.TimedOut:
        raise NoAnswer(f"it had not answered after {job.timeout:g} s") from None
    except processes.TooMuchOutput:
        raise NoAnswer("it printed more than is read of it") from None
    finally:
        asked.unlink(missing_ok=True)
    if done.code != 0:
        raise NoAnswer(_reason(done))
    return _read(job, source, dtype, environment)


def _reason(done: processes.Done) -> str:
    """The last line that names an error, or else the last one."""
    if done.code < 0:
        return f"killed by {signal_name(-done.code)}"
    said = [line.strip() for line in done.errors.splitlines() if line.strip()]
    named = [found[1] for found in map(_ERROR.match, said) if found]
    return (named or said or [f"it ended with status {done.code}"])[-1]


def _read(job: Job, source: Source, dtype: str, environment: Environment) -> Found:
    place = job.known(source, dtype, environment)
    rows, length = job.ids.shape
    shapes: dict[str, tuple[int, ...]] = {}
    for way in whole(source).having(dtype):
        shapes[tensor(way.name, CHOSEN)] = (rows, length - 1)
        if way.logits:
            shapes[tensor(way.name, EVERY)] = (rows, length - 1, job.scenario.model.vocab_size)
    try:
        tensors = tensor_file.load(files.read(place, tensor_file.limit(shapes)), [shapes])
    except (OSError, tensor_file.BadTensors) as error:
        raise NoAnswer(f"its answer {getattr(error, 'strerror', None) or error}") from None
    return {
        way.name: {part: tensors[name] for part in (CHOSEN, EVERY) if (name := tensor(way.name, part)) in tensors}
        for way in source.having(dtype)
    }
