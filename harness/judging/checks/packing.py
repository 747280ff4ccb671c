"""Where a framework chooses which rows share a sequence: are sequences within their room, and steps whole?"""

from __future__ import annotations

from collections import Counter

from harness.judging.evidence import Received
from harness.verdicts.findings import Finding

CODE = "inputs.packing"


def packing(evidence: Received) -> list[Finding]:
    """`inputs.packing`: a micro-batch has more tokens than `window.micro_batch_tokens`; a sequence is longer than
    `data.packed_length`, or a step has other sequences than its window says: fewer are right only where an epoch
    ends."""
    if evidence.intent.micro_batch_tokens is not None:
        return _tokens(evidence, evidence.intent.micro_batch_tokens)
    scenario, drawn = evidence.scenario, evidence.intent.drawn
    if scenario is None or drawn is None or not drawn.filled or scenario.data.packed_length is None:
        return []
    tokens = Counter[tuple[int, int, int]]()
    for c in evidence.conversations:
        own = len(c.ids) - c.into_next  # which has the first token of the row behind as its last
        tokens[c.micro_batch, c.rank, c.sequence] += own
    sequences = Counter((micro_batch, rank) for micro_batch, rank, _ in tokens)
    return [*_room(evidence, tokens, sequences, scenario.data.packed_length), *_window(evidence, sequences)]


def _tokens(evidence: Received, most: int) -> list[Finding]:
    """One for the micro-batch that has the most."""
    counts = Counter[tuple[int, int]]()
    for c in evidence.conversations:
        counts[c.micro_batch, c.rank] += len(c.ids) - c.into_next
    (micro_batch, rank), count = max(counts.items(), key=lambda one: one[1], default=((0, 0), 0))
    if count <= most:
        return []
    message = (
        f"micro-batch {micro_batch} of rank {rank} in step {evidence.step} has {count} tokens, expected {most} at most"
    )
    detail = {"what": "tokens"}
    return [Finding(CODE, message, step=evidence.step, rank=rank, micro_batch=micro_batch, detail=detail)]


def _room(
    evidence: Received, tokens: Counter[tuple[int, int, int]], sequences: Counter[tuple[int, int]], room: int
) -> list[Finding]:
    """One for the longest sequence. Those of a micro-batch may come as one, behind each other without padding."""
    size = evidence.intent.micro_batch_size
    most = {at: room * (size if sequences[at[:2]] == 1 else 1) for at in tokens}
    at = max(tokens, key=lambda place: tokens[place] - most[place], default=None)
    if at is None or tokens[at] <= most[at]:
        return []
    micro_batch, rank, _ = at
    message = (
        f"a sequence of step {evidence.step} has {tokens[at]} tokens (rank {rank}, micro-batch {micro_batch}), expected"
        f" {most[at]} at most, into which rows are to be packed"
    )
    return [
        Finding(CODE, message, step=evidence.step, rank=rank, micro_batch=micro_batch, detail={"what": "room"}),
    ]


def _window(evidence: Received, sequences: Counter[tuple[int, int]]) -> list[Finding]:
    intent = evidence.intent
    rounds = len({micro_batch for micro_batch, _ in sequences})
    most, fewest = max(sequences.values(), default=0), min(sequences.values(), default=0)
    # The sequences of a micro-batch may come as one.
    whole = len(sequences) == intent.accumulation * intent.ranks and fewest in (1, intent.micro_batch_size)
    over = rounds > intent.accumulation or most > intent.micro_batch_size
    if not over and (whole or _ends_epoch(evidence)):
        return []
    message = (
        f"step {evidence.step} has {rounds} micro-batches of {most} packed sequences on {intent.ranks} ranks, expected"
        f" {intent.accumulation} of {intent.micro_batch_size}"
    )
    return [Finding(CODE, message, step=evidence.step, detail={"what": "window"})]


def _ends_epoch(evidence: Received) -> bool:
    intent, drawn = evidence.intent, evidence.intent.drawn
    before = sum(len(intent.rows(step) or ()) for step in range(evidence.step))
    end = before + len(intent.rows(evidence.step) or ())
    return drawn is not None and any(before < begin <= end for begin in drawn.begins)
