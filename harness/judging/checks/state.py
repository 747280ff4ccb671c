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


def frozen_stay(evidence: StepEvidence) -> list[Finding]:
    """`state.frozen`, one finding for all tensors: what is not trained is the same to the bit after a step."""
    moved = {name: float(by.norm()) for name, by in evidence.recorded.frozen_moved.items()}
    if not moved:
        return []
    tensor = max(moved, key=lambda name: moved[name])
    who = tensor if len(moved) == 1 else f"{len(moved)} tensors, most of them {tensor},"
    return [
        Finding(
            "state.frozen",
            f"{who} moved by {moved[tensor]:.3g} (L2) at step {evidence.step}, though not to be trained: expected equal"
            " bits",
            step=evidence.step,
            tensor=tensor,
            observed=moved[tensor],
            expected=0.0,
            tolerance=0.0,
            tolerance_source="nothing may change it",
            detail={"tensors": sorted(moved)},
        )
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
