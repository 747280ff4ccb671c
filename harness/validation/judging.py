"""What the recorded steps of small runs were, held against what the configuration says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.intent.intent import Intent
from harness.recordings import held, reader, telling
from harness.recordings.facts import Value
from harness.recordings.reader import Recording
from harness.recordings.telling import Told
from harness.validation.record import PartRecord
from harness.validation.small.runs import Run


@dataclass(frozen=True)
class Judged:
    """A run, and what was seen of it."""

    run: Run
    recording: Recording
    intent: Intent
    told: Told


def judge(run: Run, folder: Path, packs: bool) -> Judged:
    """Raises UnreadableTrace, and ValueError where what is wanted cannot be said of this recording."""
    recording = reader.read(folder)
    shapes = {parameter.name: tuple(parameter.shape) for parameter in recording.header.parameters}
    intent = run.intent(shapes, packs)
    why = held.misfit(intent, recording)
    if why is not None:
        raise ValueError(why)
    return Judged(run, recording, intent, telling.tell(recording, intent))


def recovered(parts: Sequence[PartRecord], judged: Sequence[Judged]) -> list[PartRecord]:
    """The parts of a step as configured, with what was recovered of each beside it."""
    if not judged:
        return list(parts)
    return [
        part.model_copy(update={"recovered": _RECOVERED[part.what](judged)} if part.what in _RECOVERED else {})
        for part in parts
    ]


def _facts(judged: Iterable[Judged], what: str) -> list[Value]:
    return list(dict.fromkeys(v for one in judged for f in one.told.facts if f.what == what for v in f.effective))


def _batch(judged: Sequence[Judged]) -> str:
    parts = list(judged[0].recording.steps.values())
    passes = parts[0][0].line.passes
    texts = max(len(names) for part in parts[0] for names in part.line.texts)
    return f"{texts} a micro-batch x {passes} accumulated x {judged[0].recording.header.ranks} ranks"


def _aggregation(judged: Sequence[Judged]) -> str:
    said = [sentence.rpartition(": ")[2] for one in judged for sentence in one.told.sentences]
    return _several(said)


def _trained(judged: Sequence[Judged]) -> str:
    counts = [v for one in judged for f in one.told.facts if f.what == "trained tokens" for v in f.effective]
    return f"{_several(counts)} tokens" if counts else "?"


def _rates(judged: Sequence[Judged]) -> str:
    first = judged[0]
    rates: dict[int, float | None] = {}
    for group in first.told.groups:
        if group.parameters and rates.get(group.step) is None:
            rates[group.step] = group.rate
    return ", ".join(f"{_shown(rate)} at step {step}" for step, rate in rates.items())


def _schedule(judged: Sequence[Judged]) -> str:
    whole = judged[-1]
    rates: dict[int, float | None] = {}
    for group in whole.told.groups:
        if group.parameters and rates.get(group.step) is None:
            rates[group.step] = group.rate
    return f"over {whole.run.horizon} steps: {', '.join(_shown(rate) for rate in rates.values())}"


def _clipping(judged: Sequence[Judged]) -> str:
    limits = _facts(judged, "clip")
    return f"at a norm of {_several(limits)}" if limits else "none seen"


def _optimizer(judged: Sequence[Judged]) -> str:
    told = {what: _several(_facts(judged, what)) or "?" for what in ("beta1", "beta2", "eps")}
    names = dict.fromkeys(one.recording.header.optimizer for one in judged)
    return f"{', '.join(names)}, betas {told['beta1']} and {told['beta2']}, eps {told['eps']}"


def _decay(judged: Sequence[Judged]) -> str:
    found = {}
    for one in judged:
        for group in one.told.groups:
            if group.parameters and group.decay is not None and group.rate:
                found[group.group] = f"{group.decay:.3g} of group {group.group} ({group.parameters} parameters)"
    return ", ".join(found.values()) or "?"


def _dtypes(judged: Sequence[Judged]) -> str:
    told = {what: _several(_facts(judged, f"dtype of {what}")) for what in ("parameters", "masters", "moments")}
    return ", ".join(f"{what} {said}" for what, said in told.items() if said)


_RECOVERED: Mapping[str, Callable[[Sequence[Judged]], str]] = {
    "global batch": _batch,
    "trained": _trained,
    "aggregation": _aggregation,
    "learning rate": _rates,
    "schedule": _schedule,
    "clipping": _clipping,
    "optimizer": _optimizer,
    "decay": _decay,
    "dtypes": _dtypes,
}


def _several(values: Iterable[Value]) -> str:
    shown = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in values]
    return ", ".join(dict.fromkeys(shown))


def _shown(rate: float | None) -> str:
    return "?" if rate is None else f"{rate:.4g}"
