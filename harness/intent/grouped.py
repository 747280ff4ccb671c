"""What samplers promise that group rows by length, and whether an order keeps it.

Rows of an epoch are drawn in a random order, cut into groups of some batches, and each group is sorted, the longest row
first (`get_length_grouped_indices` in transformers' trainer_pt_utils.py). The longest row of all is then changed with
the first one of the first group, so that one row may stand where its length would not put it. What a batch is, and
which rank gets which of its rows, differs; what is a row's length, too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from harness.intent.intent import Intent

Lengths = Mapping[int, int]
"""By row."""

MOST_BATCHES = 50
QUARTERS = 4
"""A group has so many batches at most, and there are so many groups at least where there are as many batches."""


class Sampler(NamedTuple):
    """A way to group rows."""

    batch: int
    """Rows of which a group has a whole number."""
    by_row: bool = False
    """Whether ranks are dealt a row each by turns, and not a micro-batch."""

    def group(self, rows: int) -> int:
        """Of so many rows of an epoch, how many are sorted together."""
        return self.batch * min(max(rows // (self.batch * QUARTERS), 1), MOST_BATCHES)


def samplers(intent: Intent) -> tuple[Sampler, ...]:
    """Those that there are: transformers' has a rank's share of a step for a batch, ms-swift's what all ranks have at
    once (dataloader/shard.py)."""
    size = intent.micro_batch_size
    return Sampler(size * intent.accumulation), Sampler(size * intent.ranks, by_row=True)


def epochs(intent: Intent, steps: int, by_row: bool) -> list[list[int]]:
    """The rows of the first `steps` steps in the order in which they were drawn, those of each epoch that got its
    rows; without those that are trained again to fill its end."""
    if intent.drawn is None or intent.windows is None:
        return []
    dealt = [row for window in intent.windows[:steps] for ranks in window for row in _of_round(ranks, by_row)]
    begins = [*intent.drawn.begun(len(dealt)), len(dealt)]
    return [dealt[begin : min(end, begin + intent.drawn.rows)] for begin, end in pairwise(begins)]


def _of_round(ranks: Sequence[Sequence[int]], by_row: bool) -> list[int]:
    if not by_row:
        return [row for rows in ranks for row in rows]
    most = max(map(len, ranks), default=0)
    return [rows[place] for place in range(most) for rows in ranks if place < len(rows)]


def keeps(order: Sequence[int], lengths: Lengths, group: int) -> bool:
    """Whether rows are sorted within each group, but for the first one of a single group."""
    rising = [_rising([lengths[row] for row in order[at : at + group]]) for at in range(0, len(order), group)]
    broken = [places for places in rising if places]
    return not broken or broken == [[0]]


def _rising(lengths: Sequence[int]) -> list[int]:
    """Where a longer one follows."""
    return [place for place, (one, next_) in enumerate(pairwise(lengths)) if next_ > one]


def chance(order: Sequence[int], lengths: Lengths, group: int) -> float:
    """At most so often does a shuffled order of these rows keep the promise."""
    sizes = [min(group, len(order) - at) for at in range(0, len(order), group)]
    alike = Counter(lengths[row] for row in order).values()
    exempt = 1 + sum(sizes)  # the rows that may stand first in the one group, where it is theirs to be
    log = sum(math.lgamma(n + 1) for n in alike) - sum(math.lgamma(n + 1) for n in sizes) + math.log(exempt)
    return math.exp(min(log, 0.0))
