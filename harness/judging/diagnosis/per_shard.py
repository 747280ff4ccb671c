"""Whether each rank clipped its shard of the gradient by the norm of that shard alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.judging.diagnosis.instead import Cause
from harness.judging.evidence import StepEvidence
from harness.oracle import shards
from harness.oracle.hypotheses import wrong_parts
from harness.verdicts import questions
from harness.verdicts.findings import Diagnosis

KIND = "clipping: per shard"


def cause(evidence: StepEvidence) -> Cause | None:
    """None where that explains the gradient no better than any one factor on all of it."""
    right, limit = evidence.right, evidence.right.intent.max_grad_norm
    if limit is None or right.intent.ranks == 1 or right.terms.names or questions.ELSEWHERE in evidence.open:
        return None
    trained = {name: evidence.recorded.before.parameters[name] for name in evidence.recorded.states}
    owner = shards.owners(trained, right.intent.ranks)
    whole, seen = right.basis.gradient(right.weights), evidence.observed.gradient
    size = float(seen.norm())
    left = float((seen - shards.clipped_alone(whole, owner, right.intent.ranks, limit)).norm()) / size
    scaled = float((seen - whole * float(seen @ whole) / float(whole @ whole)).norm()) / size
    if not 2.0 * left < scaled:
        return None
    lengths = ", ".join(f"{norm:.4g}" for norm in shards.norms(whole, owner, right.intent.ranks))
    return Cause(
        "clipping",
        "parameters are sharded, and every rank clips its shard of the gradient by the norm of that shard alone",
        f"the right gradient, its shards of norm {lengths} clipped at {limit:g} each, leaves {left:.2g}",
        left,
        KIND,
    )


def renamed(found: Sequence[Diagnosis], evidence: Sequence[StepEvidence]) -> list[Diagnosis]:
    """The same causes; a wrong norm that a gradient is clipped to is called so where it is that of two shards."""
    wrong = [e for e in evidence if "clip" in wrong_parts(e.fit.hypothesis)]
    causes = [c for e in wrong if (c := cause(e)) is not None]
    if not causes or len(causes) < len(wrong):
        return list(found)
    first = causes[0]

    def told(d: Diagnosis) -> Diagnosis:
        return replace(d, summary=first.summary, evidence=first.evidence, kind=KIND, measured=("per shard",))

    return [told(d) if d.cause == first.name else d for d in found]
