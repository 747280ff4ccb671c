"""What may change in a trace without anybody noticing, because nothing that is judged depends on it.

docs/traces.md tells the user the same. Whatever else passes unnoticed is a hole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.mutants.mutate import Mutation


@dataclass(frozen=True)
class Declared:
    """Changes that mean nothing, and why."""

    file: str
    what: str
    """A pattern for the whole of it."""
    how: str
    """A pattern for the whole of it."""
    reason: str

    def covers(self, mutation: Mutation) -> bool:
        pairs = ((self.what, mutation.what), (self.how, mutation.how))
        return self.file == mutation.file and all(re.fullmatch(pattern, text) for pattern, text in pairs)


DECLARED = (
    Declared(
        "header",
        r"(framework|version|adapter|fault|shims|packages|hardware|python|argv|started)(\..*)?|all of it",
        r".*",
        "what a trace says of itself: nothing that was recorded can be held against it",
    ),
    Declared("header", r"scenario\.name", r".*", "the scenario's name is no part of its hash"),
    Declared(
        "header",
        r"scenario\.(precision|sharding|loss\.engine_output|data\.row_format|tokenizer\.(processor|pad_token|padding_side|trailing_space)|device)(\..*)?",
        r".*",
        "how a step is computed; what comes out of it is judged, and in bfloat16 by a coarser floor",
    ),
    Declared(
        "header",
        r"scenario\.(window\.(ranks|micro_batch_size|accumulation)|data\.rows_per_sequence)",
        r".*",
        "how the global batch is dealt out: a right step does not depend on it",
    ),
    Declared("header", r"scenario\.data\.rows", r".*, each step's the same", "in which order, or behind the last step"),
    Declared("header", r"scenario\.model\.max_positions", r".*", "rotary positions have no end"),
    Declared(
        "header",
        r"scenario\.optimizer\.schedule\.(warmup_steps|warmup_from|stable_steps|horizon|least|least_at|power)",
        r".*",
        "a schedule without a fall and a warm-up is constant, whatever else it says",
    ),
    Declared("header", r"scenario\.tokenizer\.vocabulary", r".*", "a word that no row has"),
    Declared(
        "steps",
        r"(loss|grad_norm|learning_rate)( everywhere)?|all of it",
        r"none|a key less",
        "a framework may tell a number or not",
    ),
    Declared(
        "batches", r"(loss_mask|position_ids) everywhere", r"none", "a framework may hand these to its models or not"
    ),
    Declared(
        "batches",
        r"(input_ids|loss_mask|position_ids) of padding",
        r".*",
        "padding is no part of the batch: whether it was trained, the weights tell",
    ),
    Declared("batches", r"loss_mask of a first token", r".*", "nothing predicts a conversation's first token"),
    Declared(
        "batches", r"line", r"dealt otherwise", "how the global batch is dealt out: a right step does not depend on it"
    ),
    Declared("tensors", r".*", r"wider", "the same numbers"),
    Declared(
        "tensors",
        r"param .* of another rank",
        r"in bfloat16",
        "where the model computes in bfloat16, another rank may tell its rounded copy",
    ),
    Declared(
        "hidden", r"numbers", r"(?!not finite).*", "the oracle has a forward pass of its own, and asks none of them"
    ),
    Declared("hidden", r"file", r"no file|away|another's|a bit flipped", "likewise; and a trace need not have them"),
    Declared("hidden", r"table", r"wider", "the same numbers"),
    Declared("asked hidden", r"table", r"wider", "the same numbers"),
    Declared("tensors", r"__metadata__", r".*", "what wrote the file"),
    Declared(
        "folder",
        r"a name that no trace has",
        r".*",
        "what the seal does not list is no part of the trace, and is not read",
    ),
)


def declared(mutation: Mutation) -> str | None:
    """Why a mutation may pass, or None where it may not."""
    return next((entry.reason for entry in DECLARED if entry.covers(mutation)), None)
