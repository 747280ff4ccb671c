"""Do all data-parallel ranks hold the same parameters, and in the dtype that they should be kept in?"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from harness.judging.evidence import StepEvidence
from harness.verdicts.findings import Finding

COARSE: Mapping[torch.dtype, str] = {torch.bfloat16: "bfloat16", torch.float16: "float16"}


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


def masters(evidence: StepEvidence) -> list[Finding]:
    """`numerics.dtype`: every parameter after the step is a number of a coarse dtype, though float32 is kept.

    Before the first step that is right: a checkpoint may be, or may have been loaded in it.
    """
    states = evidence.recorded.states.values()
    moved = any(not torch.equal(s.before, s.after) for s in states)
    if evidence.right.intent.masters != "fp32" or not moved:
        return []
    dtype = next((d for d in COARSE if all(torch.equal(s.after, s.after.to(d).double()) for s in states)), None)
    if dtype is None:
        return []
    return [
        Finding(
            "numerics.dtype",
            f"every parameter after step {evidence.step} is a number of {COARSE[dtype]}, expected float32: an update is"
            f" lost where it is below half of {torch.finfo(dtype).eps:.2g} of a parameter",
            step=evidence.step,
            observed=COARSE[dtype],
            expected="float32",
            detail={"dtype": COARSE[dtype], "what": "masters"},
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
            detail={"skipped": True} if when == "after" and _skipped_alone(evidence, rank) else {},
        )
        for rank, (tensor, distance) in sorted(distances.items())
    ]


def _skipped_alone(evidence: StepEvidence, rank: int) -> bool:
    """Whether just one of rank 0 and this one made no step."""
    stayed = evidence.recorded.stayed
    return (rank in stayed) != (0 in stayed)
