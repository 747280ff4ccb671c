"""A mismatch in words and in rows of tables, for all of its faces."""

from __future__ import annotations

from collections.abc import Iterator

from harness.mismatch.record import ClaimRecord, Differences, Mismatch, PairRecord, RunRecord
from reports.claims import SUPPORTED

NEARER = {"trainer": "engine", "engine": "trainer", "alike": "neither"}
"""Which of a pair is off, by which is nearer."""

ROUNDINGS = ("parameters in", "mean abs", "max abs", "bias", "KL")
RUNS = ("dtype", "way", "mean abs", "max abs", "bias", "KL", "with the rounding of parameters", "first to last places")
PAIRS = (
    "dtype", "trainer", "engine", "sampling_logp_difference mean", "max", "kl = vllm_kl", "k3_kl", "chi2_token",
    "chi2_seq", "true KL", "further off",
)  # fmt: skip
CLAIMS = ("claim", "by these numbers", "of", "measured", "counts as supported if")
LOGGED = (
    "sampling/sampling_logp_difference/mean",
    "sampling/sampling_logp_difference/max",
    "rollout_corr/kl",
    "rollout_corr/k3_kl",
    "rollout_corr/chi2_token",
    "rollout_corr/chi2_seq",
)
"""Of a pair's metrics, those that the table shows."""

ESTIMATORS = (
    "The sequences were drawn from the exact distribution p, by no engine. So what frameworks log as kl, the mean of"
    " log q - log o over tokens (q the engine's, o the trainer's), is no KL of q from o: it estimates"
    " KL(p||o) - KL(p||q), and is below 0 where the engine is further from p than the trainer. True KL is KL(q||o), a"
    " sum over the whole vocabulary in every place, for pairs that both have logits to look at."
)


def summary(found: Mismatch) -> str:
    """All of it in a line."""
    known = [run for run in found.runs if run.state == "measured"]
    supported = sum(claim.supported is True for claim in found.claims)
    return (
        f"{len(known)} of {len(found.runs)} runs measured, {len(found.pairs)} pairs,"
        f" {supported} of {len(found.claims)} claims supported"
    )


def setting(found: Mismatch) -> str:
    """What was measured, in a sentence."""
    return (
        f"A {found.architecture} of {found.parameters:,} parameters ({found.scenario}, seed {found.seed}) on"
        f" {found.rows} sequences of {found.length} tokens of {found.vocabulary}, drawn from its exact distribution,"
        f" whose entropy is {found.entropy:.2f} nats. Log-probabilities are in nats."
    )


def roundings(found: Mismatch) -> Iterator[tuple[str, ...]]:
    """What rounding the parameters does alone."""
    for one in found.roundings:
        yield one.dtype, *_differences(one.from_float32)


def runs(found: Mismatch) -> Iterator[tuple[str, ...]]:
    """A row for each way and dtype that was measured."""
    for run in found.runs:
        if run.arithmetic is not None and run.whole is not None:
            grown = f"{number(run.growth[0])} to {number(run.growth[-1])}"
            yield run.dtype, run.way, *_differences(run.arithmetic), number(run.whole.mean_abs), grown


def unknown(found: Mismatch) -> list[str]:
    """What could not be measured, and why."""
    return [f"{run.way} in {run.dtype}: {run.reason}" for run in found.runs if run.state == "unknown"]


def ways(found: Mismatch) -> list[str]:
    """What each of them does."""
    named = {run.way: f"{run.way} ({run.role}, {_release(run)}): {run.told}" for run in found.runs}
    return list(named.values())


def _release(run: RunRecord) -> str:
    return run.framework if run.version is None else f"{run.framework} {run.version}"


def pairs(found: Mismatch, alike: bool = True) -> Iterator[tuple[str, ...]]:
    """A row for each pair in the same dtype, or of those in which the trainer alone is in float32."""
    for pair in found.pairs:
        if (pair.trainer_dtype == pair.engine_dtype) == alike:
            yield _pair(pair)


def _pair(pair: PairRecord) -> tuple[str, ...]:
    dtype = pair.engine_dtype if pair.trainer_dtype == pair.engine_dtype else f"float32 / {pair.engine_dtype}"
    logged = (number(pair.metrics[name]) for name in LOGGED)
    return dtype, pair.trainer, pair.engine, *logged, number(pair.kl), NEARER[pair.nearer]


def claims(found: Mismatch) -> Iterator[tuple[str, ...]]:
    """A row for each."""
    for one in found.claims:
        yield one.claim, claim(one), one.source, one.measured, one.rule


def tables(found: Mismatch) -> list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """All of them: title, head and rows; those that have rows."""
    known = (
        ("What rounding the parameters does by itself", ROUNDINGS, roundings(found)),
        ("Each against float64 at the parameters that it had", RUNS, runs(found)),
        ("Trainer against engine", PAIRS, pairs(found)),
        ("A trainer in float32", PAIRS, pairs(found, alike=False)),
        ("What is said of it", CLAIMS, claims(found)),
    )
    return [(title, head, made) for title, head, rows in known if (made := list(rows))]


def claim(one: ClaimRecord) -> str:
    return SUPPORTED[one.supported]


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def _differences(found: Differences) -> tuple[str, ...]:
    return number(found.mean_abs), number(found.max_abs), number(found.bias), number(found.kl)
