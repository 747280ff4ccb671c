"""Do all data-parallel ranks hold the same parameters, and in the dtype that they should be kept in?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from harness.judging.evidence import Received, StepEvidence
from harness.verdicts.findings import Finding

COARSE: Mapping[torch.dtype, str] = {torch.bfloat16: "bfloat16", torch.float16: "float16"}


def ranks_agree(evidence: Received) -> list[Finding]:
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
    """`numerics.dtype`: parameters after the step are numbers of a coarse dtype, though float32 is kept.

    Before the first step that is right: a checkpoint may be, or may have been loaded in it.
    """
    if evidence.right.intent.masters != "fp32":
        return []
    for dtype in COARSE:
        if tensors := _kept_in(evidence, dtype):
            return [_coarse_masters(evidence, dtype, tensors)]
    return []


def _kept_in(evidence: StepEvidence, dtype: torch.dtype) -> list[str]:
    """Tensors that a step left at numbers of a dtype: all of them, or those of a part that it moved."""
    states = evidence.recorded.states
    coarse = [n for n, s in states.items() if torch.equal(s.after, s.after.to(dtype).double())]
    moved = [n for n in coarse if not torch.equal(states[n].before, states[n].after)]
    if len(coarse) == len(states) and moved:
        return coarse
    # A whole tensor may move by just the rate, as in Adam's first step, which the dtype may hold.
    return [n for n in moved if not _holds(dtype, evidence.expected_learning_rate(n))]


def _holds(dtype: torch.dtype, number: float) -> bool:
    return float(torch.tensor(number, dtype=torch.float64).to(dtype)) == number


def _coarse_masters(evidence: StepEvidence, dtype: torch.dtype, tensors: Sequence[str]) -> Finding:
    every = len(tensors) == len(evidence.recorded.states)
    who = tensors[0] if len(tensors) == 1 else f"{len(tensors)} tensors ({tensors[0]}, ...)"
    what = "every parameter" if every else f"every element of {who}"
    return Finding(
        "numerics.dtype",
        f"{what} after step {evidence.step} is a number of {COARSE[dtype]}, expected float32: an update is"
        f" lost where it is below half of {torch.finfo(dtype).eps:.2g} of a parameter",
        step=evidence.step,
        tensor=tensors[0] if len(tensors) == 1 else None,
        observed=COARSE[dtype],
        expected="float32",
        detail={"dtype": COARSE[dtype], "what": "masters", "all": every, "tensors": list(tensors)},
    )


def _apart(evidence: Received, distances: Mapping[int, tuple[str, float]], when: str) -> list[Finding]:
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


def _skipped_alone(evidence: Received, rank: int) -> bool:
    """Whether just one of rank 0 and this one made no step."""
    stayed = evidence.recorded.stayed
    return (rank in stayed) != (0 in stayed)
