"""Do all data-parallel ranks hold the same parameters?"""

from __future__ import annotations

from collections.abc import Mapping

from harness.judging.evidence import StepEvidence
from harness.verdicts.findings import Finding


def ranks_agree(evidence: StepEvidence) -> list[Finding]:
    """`state.rank-desync`: ranks apply the same update to the same numbers, so they must agree to the bit."""
    recorded = evidence.recorded
    return [
        *_apart(evidence, recorded.rank_distance_before, "before"),
        *_apart(evidence, recorded.rank_distance, "after"),
    ]


def _apart(evidence: StepEvidence, distances: Mapping[int, tuple[str, float]], when: str) -> list[Finding]:
    return [
        Finding(
            "state.rank-desync",
            f"rank {rank} differs from rank 0 {when} step {evidence.step}, most in {tensor}: {distance:.3g} (L2),"
            " expected equal bits",
            step=evidence.step,
            rank=rank,
            tensor=tensor,
            observed=distance,
            expected=0.0,
            tolerance=0.0,
            tolerance_source="the same update of the same numbers",
        )
        for rank, (tensor, distance) in sorted(distances.items())
    ]
