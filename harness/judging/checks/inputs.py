"""Did the model receive the tokens, masks and positions that the scenario's rows should give?"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Sequence

from harness.judging.evidence import Received
from harness.traces import batch
from harness.traces.batch import Conversation
from harness.verdicts.findings import Finding
from scenarios import text


def _words(evidence: Received, ids: Sequence[int]) -> str:
    vocabulary = () if evidence.scenario is None else evidence.scenario.tokenizer.vocabulary
    return " ".join(vocabulary[i] if 0 <= i < len(vocabulary) else f"#{i}" for i in ids)


def _at(c: Conversation) -> str:
    row = "a foreign row" if c.row is None else f"row {c.row}"
    return f"{row} (rank {c.rank}, micro-batch {c.micro_batch})"


def batch_composition(evidence: Received) -> list[Finding]:
    """`inputs.batch` for missing and repeated rows, `inputs.token-ids` for tokens that are no row of this step."""
    expected = evidence.intent.rows(evidence.step)
    if expected is None or evidence.scenario is None:
        return []
    rows = batch.right_rows(evidence.scenario)
    # Rows of equal tokens cannot be told apart: the last of them stands for all, as in `batch.conversations`.
    known = {row.ids: i for i, row in enumerate(rows)}
    seen = Counter(c.row for c in evidence.conversations if c.row is not None)
    wanted = Counter(known[rows[r].ids] for r in expected)
    missing, extra = sorted((wanted - seen).elements()), sorted((seen - wanted).elements())
    foreign = [c for c in evidence.conversations if c.row is None]
    likely = missing if evidence.intent.drawn is None else range(len(rows))  # a drawn order says not which these are
    findings = [_foreign(evidence, c, likely, rows) for c in foreign]
    if not foreign and (missing or extra):
        parts = [
            f"{what} rows {', '.join(map(str, numbers))}"
            for what, numbers in (("lacks", missing), ("repeats or adds", extra))
            if numbers
        ]
        findings.append(
            Finding(
                "inputs.batch",
                f"the global batch of step {evidence.step} {' and '.join(parts)} (expected {_times(wanted)})",
                step=evidence.step,
                detail={"missing": missing, "extra": extra},
            )
        )
    return findings


def _times(wanted: Counter[int]) -> str:
    """How often each row is to be in a batch; some come again where an epoch ends with a window that is not full."""
    if max(wanted.values(), default=1) == 1:
        return f"each of its {wanted.total()} rows once"
    again = ", ".join(f"row {row} {count} times" for row, count in sorted(wanted.items()) if count > 1)
    return f"{again}, and of its {wanted.total()} rows every other once"


def _foreign(evidence: Received, c: Conversation, likely: Sequence[int], rows: Sequence[text.Rendered]) -> Finding:
    closest = max(likely, key=lambda r: difflib.SequenceMatcher(None, rows[r].ids, c.ids).ratio(), default=None)
    wanted = rows[closest].ids if closest is not None else ()
    position = next(
        (i for i, (a, b) in enumerate(zip(c.ids, wanted, strict=False)) if a != b), min(len(c.ids), len(wanted))
    )
    return Finding(
        "inputs.token-ids",
        f"the model received other tokens at step {evidence.step}, rank {c.rank}, micro-batch {c.micro_batch}, from"
        f" position {position}: got '{_words(evidence, c.ids[position : position + 6])}', expected"
        f" '{_words(evidence, wanted[position : position + 6])}' (row {closest})",
        step=evidence.step,
        rank=c.rank,
        micro_batch=c.micro_batch,
        observed=_words(evidence, c.ids),
        expected=_words(evidence, wanted),
        detail={"row": closest, "position": position, **({"altered": c.altered} if c.altered else {})},
    )


def _marked(evidence: Received, c: Conversation, mask: Sequence[bool]) -> str:
    """The conversation in words, those that are to be trained in brackets."""
    words = _words(evidence, c.ids).split(" ")
    return " ".join(f"[{word}]" if trained else word for word, trained in zip(words, mask, strict=True))


def _numbers(values: Sequence[int]) -> str:
    return " ".join(map(str, values))


def _first_wrong(
    evidence: Received,
    code: str,
    what: str,
    wrong: Callable[[Conversation], list[int]],
    renderings: Callable[[Conversation], tuple[str, str]],
) -> list[Finding]:
    """One finding for all conversations where `wrong` gives positions, told by the first: as received, as expected."""
    places = [(c, at) for c in evidence.conversations if (at := wrong(c))]
    if not places:
        return []
    c, at = places[0]
    received, expected = renderings(c)
    return [
        Finding(
            code,
            f"{what} at step {evidence.step}: first in {_at(c)}, position {at[0]}"
            f" '{_words(evidence, c.ids[at[0] : at[0] + 1])}' ({len(at)} of its {len(c.ids)} tokens; {len(places)} of"
            f" {len(evidence.conversations)} conversations)",
            step=evidence.step,
            rank=c.rank,
            micro_batch=c.micro_batch,
            observed=received,
            expected=expected,
            detail={"row": c.row, "positions": at, "conversations": len(places)},
        )
    ]


def loss_mask(evidence: Received) -> list[Finding]:
    """`inputs.loss-mask`: the labels that the model received mark other tokens than are to be trained."""

    def wrong(c: Conversation) -> list[int]:
        # The first token of a sequence has no prediction, so its mark says nothing; that of a row behind another one
        # is predicted by that one, and must not be trained.
        marked = c.marked or c.trained
        border = [0] if c.follows and c.marked and c.marked[0] else []
        return [*border, *(i for i in range(1, len(c.ids)) if marked[i] != c.trained[i])]

    def renderings(c: Conversation) -> tuple[str, str]:
        return _marked(evidence, c, c.marked or c.trained), _marked(evidence, c, c.trained)

    wanted = evidence.intent.trained
    what = "the loss mask differs from the responses" if wanted == "responses" else f"the loss mask is not {wanted!r}"
    return _first_wrong(evidence, "inputs.loss-mask", what, wrong, renderings)


def positions(evidence: Received) -> list[Finding]:
    """`inputs.positions`: positions do not count from 0 in each conversation."""

    def wrong(c: Conversation) -> list[int]:
        return [i for i, p in enumerate(c.positions or ()) if p != i]

    def renderings(c: Conversation) -> tuple[str, str]:
        return _numbers(c.positions or ()), _numbers(range(len(c.ids)))

    what = "positions do not count from 0 in each conversation"
    return _first_wrong(evidence, "inputs.positions", what, wrong, renderings)


def attention(evidence: Received) -> list[Finding]:
    """`inputs.attention`: a token may attend beyond its conversation, or not to all of it before itself."""

    def wrong(c: Conversation) -> list[int]:
        return [i for i, reach in enumerate(c.reach) if reach != 0]

    def renderings(c: Conversation) -> tuple[str, str]:
        return f"first key of each token: {_numbers(c.reach)}", f"first key of each token: {_numbers([0] * len(c.ids))}"

    what = "attention does not end at the conversation's start"
    return _first_wrong(evidence, "inputs.attention", what, wrong, renderings)
