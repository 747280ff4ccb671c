"""The effective step as small runs had it, in words beside what is configured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf

from harness.intent.intent import Mean
from harness.intent.words import told as aggregation
from harness.judging.checks.weights import MASKS
from harness.oracle.hypotheses import Hypothesis
from harness.oracle.levels import INTENDED
from harness.oracle.update import TensorUpdate
from harness.recordings.effective import GroupRule, updates
from harness.recordings.facts import Value
from harness.recordings.held import Way
from harness.validation.found import cut, turns
from harness.validation.found.judging import Judged
from harness.validation.found.texts import Text
from harness.validation.found.turns import Turns
from harness.validation.found.vocabulary import Vocabulary
from harness.validation.record import PartRecord
from harness.validation.step import telling
from harness.validation.step.effective import PLAIN
from harness.verdicts.findings import Finding

UNTOLD = "?"
STRANGE = "follows nothing that is known"


def beside(parts: Sequence[PartRecord], judged: Sequence[Judged]) -> list[PartRecord]:
    """The parts of a step as configured, with what was recovered of each."""
    if not judged:
        return list(parts)
    return [
        part.model_copy(update={"recovered": _RECOVERED[part.what](judged), "differs": _differs(part.what, judged)})
        if part.what in _RECOVERED
        else part
        for part in parts
    ]


_OF: Mapping[str, str] = {
    "inputs.batch": "global batch",
    "weights.dropped-micro-batches": "global batch",
    "weights.mask": "trained",
    "weights.mean-of-means": "aggregation",
    "weights.aggregation": "aggregation",
    "weights.scale": "aggregation",
    "weights.uneven": "aggregation",
    "weights.residual": "aggregation",
    "update.clip": "clipping",
    "update.moments": "optimizer",
    "update.weight-decay": "decay",
    "numerics.dtype": "dtypes",
}
"""Which part of a step a finding is of; that of a learning rate goes by its run."""


def _differs(what: str, judged: Sequence[Judged]) -> bool:
    if what in ("learning rate", "schedule"):
        one = _first(judged) if what == "learning rate" else judged[-1]
        return one is not None and "update.learning-rate" in _codes([one])
    if what == "turns":
        return bool(odd(judged))
    return any(_OF.get(code) == what for code in _codes(judged))


def _codes(judged: Iterable[Judged]) -> set[str]:
    return {finding.code for one in judged for finding in one.told.findings}


def _first(judged: Sequence[Judged]) -> Judged | None:
    """The run whose schedule is that of the real training, if it came to something."""
    return next((one for one in judged if one.run.name == "first"), None)


def _ways(judged: Iterable[Judged]) -> list[Way]:
    return [way for one in judged for way in one.told.ways]


def _facts(judged: Iterable[Judged], what: str) -> list[Value]:
    return list(dict.fromkeys(v for one in judged for f in one.told.facts if f.what == what for v in f.effective))


def _batch(judged: Sequence[Judged]) -> str:
    one = judged[0]
    parts = next(iter(one.recording.steps.values()))
    passes, ranks = parts[0].line.passes, one.recording.header.ranks
    texts = max((len(names) for names in parts[0].line.texts), default=0)
    shrunk = (one.run.step.accumulation, one.run.step.ranks) != (one.run.accumulation, ranks)
    lost = {len(way.hypothesis.dropped) for way in _ways(judged) if way.hypothesis is not None}
    but = f"; {max(lost)} of {passes * ranks} micro-batches never reached the optimizer" if max(lost, default=0) else ""
    return f"{texts} a micro-batch x {passes} accumulated x {ranks} ranks{', shrunk' * shrunk}{but}"


def _trained(judged: Sequence[Judged]) -> str:
    ways, wanted = _ways(judged), judged[0].intent.trained
    if not ways:
        return UNTOLD
    if wanted != "everything" and not all(way.labels for way in ways):
        said = "no labels told which should be"
    else:
        configured = f"{telling.TRAINED.get(wanted, wanted)}, as configured"
        masks = dict.fromkeys(way.hypothesis.mask if way.hypothesis else None for way in ways)
        said = "; ".join(UNTOLD if m is None else configured if m == INTENDED else MASKS[m] for m in masks)
        roles = dict.fromkeys(f.detail["mask"] for one in judged for f in one.told.findings if _names_mask(f))
        said = "; ".join(MASKS[mask] for mask in roles) or said
    return f"{said} ({sum(way.trained for way in ways)} tokens in {len(ways)} steps)"


def _names_mask(finding: Finding) -> bool:
    return finding.code == "weights.mask" and finding.detail.get("mask") in MASKS


def _aggregation(judged: Sequence[Judged]) -> str:
    said = [_level(one, way.hypothesis) for one in judged for way in one.told.ways]
    return "; ".join(dict.fromkeys(said)) or UNTOLD


def _level(one: Judged, hypothesis: Hypothesis | None) -> str:
    if hypothesis is None or hypothesis.pieces is not None:
        return STRANGE
    wanted = one.intent.aggregation
    scale = "" if hypothesis.scale.factor == 1.0 else f", times {hypothesis.scale.factor:.4g}"
    return aggregation(wanted if hypothesis.level == INTENDED else Mean(hypothesis.level)) + scale


def _rates(judged: Sequence[Judged]) -> str:
    one = _first(judged)
    return UNTOLD if one is None else f"{_held(one)}, in the first steps"


def _schedule(judged: Sequence[Judged]) -> str:
    one = judged[-1]
    return f"{_held(one)}, over {one.run.horizon} steps"


def _held(one: Judged) -> str:
    """The rates of a run's steps, and those that they should be where a finding says that they are not."""
    groups = _by_step(one)
    found = [group.rate for group in groups.values()]
    shown = ", ".join(map(_shown, found)) or UNTOLD
    if "update.learning-rate" in _codes([one]):
        tensor = one.recording.header.parameters[0].name
        return f"{shown} where it should be {', '.join(_shown(one.intent.learning_rate(n, tensor)) for n in groups)}"
    return f"{shown} as expected" if None not in found and found else shown


def _by_step(one: Judged) -> dict[int, GroupRule]:
    """Of each step, the first group whose rate is told."""
    found: dict[int, GroupRule] = {}
    for group in one.told.groups:
        if group.parameters and (group.step not in found or found[group.step].rate is None):
            found[group.step] = group
    return found


def _clipping(judged: Sequence[Judged]) -> str:
    limits = _facts(judged, "clip")
    return f"at a norm of {_several(limits)}" if limits else "none seen"


def _optimizer(judged: Sequence[Judged]) -> str:
    told = {what: _several(_facts(judged, what)) or UNTOLD for what in ("beta1", "beta2", "eps")}
    names = dict.fromkeys(one.recording.header.optimizer for one in judged)
    return f"{', '.join(names)}, betas {told['beta1']} and {told['beta2']}, eps {told['eps']}"


def _decay(judged: Sequence[Judged]) -> str:
    """By the step with the largest rate, which tells it best; of matrices, and of the others."""
    told = [(group.rate or 0.0, at, group.step) for at, one in enumerate(judged) for group in one.told.groups]
    if not told:
        return UNTOLD
    _, at, step = max(told)
    recording = judged[at].recording
    flat = {parameter.name: len(parameter.shape) < 2 for parameter in recording.header.parameters}
    found = [(flat[name], u) for name, u in updates(recording, step).items() if u.decay_bound < inf]
    kinds = {words: [u for of, u in found if of == others] for words, others in ((MATRICES, False), (OTHERS, True))}
    return "; ".join(f"{_decayed(some)} of {len(some)} {words}" for words, some in kinds.items() if some) or UNTOLD


MATRICES, OTHERS = "matrices", "norms and biases"


def _decayed(found: Sequence[TensorUpdate]) -> str:
    decay = statistics.median(update.weight_decay for update in found)
    error = statistics.median(update.decay_bound for update in found)
    return f"{'none' if abs(decay) <= error else f'{decay:.3g}'} (known to {error:.1g})"


def _dtypes(judged: Sequence[Judged]) -> str:
    told = {what: _several(_facts(judged, f"dtype of {what}")) for what in ("parameters", "masters", "moments")}
    return ", ".join(f"{what} {said}" for what, said in told.items() if said) or UNTOLD


def _long_rows(judged: Sequence[Judged]) -> str:
    one = judged[0]
    found = None if one.words is None else cut.told(_texts(judged), cut.longest(one.run.step.longest), one.words)
    return found or UNTOLD


def _texts(judged: Sequence[Judged]) -> list[Text]:
    return list(dict.fromkeys(text for one in judged for text in one.texts))


def _turns(judged: Sequence[Judged]) -> str:
    found = _written(judged)
    return (turns.told(*found) if found else "") or UNTOLD


def _written(judged: Sequence[Judged]) -> tuple[Turns, Vocabulary] | None:
    """How texts are written that are not cut."""
    one = judged[0]
    most = cut.longest(one.run.step.longest)
    whole = [text for text in _texts(judged) if not cut.is_cut(text, most)]
    if one.words is None or not whole:
        return None
    words = one.words.without_template() if one.run.step.turns == PLAIN else one.words
    return turns.of(whole, words), words


def odd(judged: Sequence[Judged]) -> list[str]:
    """What nobody may have meant of how texts are written, a sentence each."""
    found = _written(judged) if judged else None
    return turns.odd(*found) if found else []


_RECOVERED: Mapping[str, Callable[[Sequence[Judged]], str]] = {
    "global batch": _batch,
    "turns": _turns,
    "long rows": _long_rows,
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
    return UNTOLD if rate is None else f"{rate:.4g}"
