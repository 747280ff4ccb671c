"""Whether each rank clipped its shard of the gradient by the norm of that shard alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from harness.judging.diagnosis.instead import Cause
from harness.judging.evidence import StepEvidence
from harness.oracle import shards
from harness.oracle.hypotheses import wrong_parts
from harness.verdicts import questions
from harness.verdicts.findings import Diagnosis

KIND = "clipping: per shard"
SCALE = "gradient-scale"


def cause(evidence: StepEvidence) -> Cause | None:
    """None where that explains the gradient no better than any one factor on all of it.

    Where no shard is as long as the limit nothing is clipped, and the reported norm has to be that of a shard.
    """
    limit = evidence.right.intent.max_grad_norm
    if limit is None or not _is_sharded(evidence):
        return None
    owner, ranks = _owners(evidence), evidence.right.intent.ranks
    whole, seen = evidence.right.basis.gradient(evidence.right.weights), evidence.observed.gradient
    size = float(seen.norm())
    left = float((seen - shards.clipped_alone(whole, owner, ranks, limit)).norm()) / size
    scaled = float((seen - whole * float(seen @ whole) / float(whole @ whole)).norm()) / size
    norms = shards.norms(whole, owner, ranks)
    unclipped = evidence.fit.hypothesis.clip == "none" and max(norms) < limit and is_reported(evidence)
    if not unclipped and not 2.0 * left < scaled:
        return None
    lengths = ", ".join(f"{norm:.4g}" for norm in norms)
    return Cause(
        "clipping",
        "parameters are sharded, and every rank clips its shard of the gradient by the norm of that shard alone",
        f"the right gradient, its shards of norm {lengths} clipped at {limit:g} each, leaves {left:.2g}",
        left,
        KIND,
    )


def is_reported(evidence: StepEvidence) -> bool:
    """Whether the reported norm is that of a shard of the right gradient, dealt by the first dimension."""
    told, ranks = evidence.recorded.reported.grad_norm, evidence.right.intent.ranks
    if told is None or not _is_sharded(evidence):
        return False
    lengths = shards.norms(evidence.right.basis.gradient(evidence.right.weights), _owners(evidence), ranks)
    return any(abs(told - length) <= evidence.floor.tolerance("norm") * length for length in lengths)


def _is_sharded(evidence: StepEvidence) -> bool:
    right = evidence.right
    return right.intent.ranks > 1 and not right.terms.names and questions.ELSEWHERE not in evidence.open


def _owners(evidence: StepEvidence) -> Tensor:
    """The rank that holds each element that is trained: int64 [parameters]."""
    parameters = evidence.recorded.before.parameters
    return shards.owners({name: parameters[name] for name in evidence.recorded.states}, evidence.right.intent.ranks)


def renamed(found: Sequence[Diagnosis], evidence: Sequence[StepEvidence]) -> list[Diagnosis]:
    """The same causes; a wrong norm that a gradient is clipped to is called so where it is that of two shards. A factor
    that comes near it in some step is no cause then."""
    wrong = [e for e in evidence if "clip" in wrong_parts(e.fit.hypothesis)]
    causes = [c for e in wrong if (c := cause(e)) is not None]
    if not causes or len(causes) < len(wrong):
        return list(found)
    first = causes[0]
    near = [d for d in found if d.cause == SCALE and _is_all(evidence)]

    def told(d: Diagnosis) -> Diagnosis:
        codes = tuple(dict.fromkeys(code for one in (d, *near) for code in one.codes))
        return replace(
            d, summary=first.summary, evidence=first.evidence, codes=codes, kind=KIND, measured=("per shard",)
        )

    return [told(d) if d.cause == first.name else d for d in found if d not in near]


def _is_all(evidence: Sequence[StepEvidence]) -> bool:
    """Whether it leaves nothing of any gradient that seems to have a wrong factor."""
    scaled = [e for e in evidence if "scale" in wrong_parts(e.fit.hypothesis)]
    found = [(e, cause(e)) for e in scaled]
    return all(one is not None and one.left <= e.floor.tolerance("residual") for e, one in found)
