"""Factors on a whole gradient that trainers are known to get wrong, and what each equals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.intent.intent import Mean, Sum
from harness.intent.objective import Policy
from harness.oracle.step import RightStep


@dataclass(frozen=True)
class Scale:
    """A factor on the whole gradient, and what it equals."""

    factor: float
    name: str


UNIT = Scale(1.0, "1")
UNNAMED = "no known quantity"
PARTIAL = "micro-batches of a partial window / gradient_accumulation_steps"
FEWER = "ranks before the checkpoint / ranks that go on"
FIRSTS = "first tokens, which nothing predicts, are counted"
MASKED = "tokens of masked completions are counted"
SAMPLING = "a step is divided by the tokens of its whole sampling"
AVERAGE = "a step is divided by the tokens of an average step of its sampling"
# What comes of another divisor.
AVERAGED = "losses are averaged over the tokens"
SUMMED = "losses are summed, and divided by nothing"
SUMMED_BY_ROW = "losses are summed in each conversation, then averaged over the conversations"
DIVISORS = (AVERAGED, SUMMED, SUMMED_BY_ROW)


def named_factors(right: RightStep) -> tuple[Scale, ...]:
    """Factors that trainers are known to get wrong; several may have one size. In the same order for every step."""
    intent = right.intent
    base: dict[str, float] = {
        "gradient_accumulation_steps": right.micro_batches,
        "world size": intent.ranks,
        "micro-batch size": intent.micro_batch_size,
        "gradient_accumulation_steps x world size": right.micro_batches * intent.ranks,
    }
    if intent.ranks >= 4 and intent.ranks % 2 == 0:
        base["half the world size"] = intent.ranks / 2  # as two groups of ranks that hold all shards each make it
    if isinstance(intent.aggregation, Policy) and intent.aggregation.every > 1:
        base["optimizer steps of a sampling"] = intent.aggregation.every
    if right.loss_scale is not None:
        base["loss scale"] = right.loss_scale
    both = ((Scale(float(v), n), Scale(1.0 / v, f"1/({n})" if " x " in n else f"1/{n}")) for n, v in base.items())
    # First, for it is true of one window among others, where it may have the size of another factor.
    partial = Scale(right.micro_batches / intent.accumulation, PARTIAL)
    fewer = Scale(intent.ranks / _there(right), FEWER)
    pairs = (scale for pair in both for scale in pair)
    return (partial, fewer, *pairs, *_firsts(right), *_other_divisors(right), *_counted(right))


def _counted(right: RightStep) -> Iterator[Scale]:
    """Where a sum over completions is divided by the tokens of a step: what comes of other tokens than those."""
    wanted, rows = right.intent.aggregation, right.intent.rows(right.number)
    if not isinstance(wanted, Policy) or not wanted.tokens or rows is None:
        return
    if wanted.over != "token" or wanted.constant is not None:
        return
    kept = [0 if row in wanted.masked else tokens for row, tokens in enumerate(wanted.tokens)]
    own, every = sum(kept[row] for row in rows), sum(wanted.tokens[row] for row in rows)
    first = right.number - right.number % wanted.every
    last = min(first + wanted.every, right.intent.steps)
    sampled = {row for step in range(first, last) for row in right.intent.rows(step) or ()}
    steps, of_all = len(sampled) / len(rows), sum(kept[row] for row in sampled)
    known = {MASKED: own / every, SAMPLING: own / of_all, AVERAGE: own * steps / of_all}
    yield from (Scale(factor, name) for name, factor in known.items() if factor not in (0.0, 1.0))


def _firsts(right: RightStep) -> tuple[Scale, ...]:
    """Where whole rows are trained, and so marked: what comes of marks that are counted before they are shifted."""
    tokens, rows = right.targets, len(right.conversations)
    counted = right.intent.trained == "everything" and right.intent.aggregation == Mean("token")
    return (Scale(tokens / (tokens + rows), FIRSTS),) if counted else ()


def _there(right: RightStep) -> int:
    """Ranks that are to have rows in this step: fewer where fewer go on from a checkpoint."""
    intent = right.intent
    if intent.windows is None:
        return intent.ranks
    window = intent.windows[right.number]
    return sum(any(ranks[rank] for ranks in window) for rank in range(intent.ranks)) or intent.ranks


def _other_divisors(right: RightStep) -> tuple[Scale, ...]:
    """Where all tokens weigh alike: what comes of another divisor of their losses' sum."""
    wanted, tokens, rows = right.intent.aggregation, right.targets, len(right.conversations)
    if not right.intent.uniform:
        return ()
    divisor = wanted.constant if isinstance(wanted, Sum) else float(tokens)
    averaged = (Scale(divisor / tokens, AVERAGED),) if isinstance(wanted, Sum) else ()
    return (*averaged, Scale(divisor, SUMMED), Scale(divisor / rows, SUMMED_BY_ROW))


def scales(right: RightStep) -> tuple[Scale, ...]:
    """Factors that trainers are known to get wrong, 1 first; of those that coincide only the first is there."""
    result = {UNIT.factor: UNIT}
    for scale in named_factors(right):
        result.setdefault(scale.factor, scale)
    return tuple(result.values())
