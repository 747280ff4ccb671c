"""The rows of a scenario as the tokens that they should be, whatever a framework makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from adapters.contract import BOS, SPACE, Scenario, Trained
from scenarios import text
from scenarios.text import Rendered


def rendered(scenario: Scenario) -> list[Rendered]:
    """Every row: what all rows begin with, its messages, cut off where it is too long. The loss mask is that of the
    responses. Raises KeyError for a word outside the vocabulary."""
    return _cut(whole(scenario, opening(scenario)), slice(scenario.data.max_length))


def whole(scenario: Scenario, start: Sequence[str]) -> list[Rendered]:
    """Every row behind the words `start`, however long it is."""
    index = {word: i for i, word in enumerate(scenario.tokenizer.vocabulary)}
    ids = tuple(index[word] for word in start)
    every = text.render_all(scenario.data.rows, scenario.tokenizer.vocabulary, scenario.data.row_format)
    return [Rendered((*ids, *row.ids), (False,) * len(ids) + row.loss_mask) for row in every]


def _cut(every: Sequence[Rendered], kept: slice) -> list[Rendered]:
    return [Rendered(row.ids[kept], row.loss_mask[kept]) for row in every]


def opening(scenario: Scenario) -> list[str]:
    """The words that every row begins with, whatever its messages."""
    first = [BOS] if scenario.tokenizer.bos else []
    return [*first, *([text.SYSTEM, *scenario.tokenizer.system.split()] if scenario.tokenizer.system else [])]


def trained(scenario: Scenario) -> list[Rendered]:
    """Every row as `rendered` has it, its loss mask that of the tokens to be trained: chosen of the whole row, so that
    a row whose last answer is cut off has none of it in the place of another."""
    every = (to_train(row, scenario.data.trained) for row in whole(scenario, opening(scenario)))
    return _cut(list(every), slice(scenario.data.max_length))


def without_last(scenario: Scenario) -> list[bool]:
    """Of every row, whether nothing is left of its last answer once it is cut off."""
    limit = scenario.data.max_length
    masks = [to_train(row, "last-answer").loss_mask for row in whole(scenario, opening(scenario))]
    return [limit is not None and any(mask) and not any(mask[:limit]) for mask in masks]


def to_train(row: Rendered, trained: Trained) -> Rendered:
    """The row, its loss mask that of the tokens to be trained."""
    return replace(row, loss_mask=tuple(_mask(row.loss_mask, trained)))


def _mask(response: Sequence[bool], trained: Trained) -> Sequence[bool]:
    if trained == "everything":
        return (False, *(True for _ in response[1:]))
    if trained == "responses" or not any(response):
        return response
    last = max(i for i, own in enumerate(response) if own)
    first = last - next((n for n, own in enumerate(reversed(response[:last])) if not own), last)
    return [first <= i <= last for i in range(len(response))]


def altered(scenario: Scenario) -> dict[str, list[Rendered]]:
    """Every row as frameworks are known to make it wrongly, by what is wrong with it."""
    right, start, eos = rendered(scenario), opening(scenario), text.SPECIAL.index(text.EOS)
    limit, words = scenario.data.max_length, scenario.tokenizer.vocabulary
    spaces = [words.index(SPACE)] if SPACE in words else []

    def made(first: Sequence[str]) -> list[Rendered]:
        return _cut(whole(scenario, first), slice(limit))

    others = {
        "a BOS too many": made([BOS, *start]) if scenario.tokenizer.bos else [],
        "no BOS": made(start[1:]) if scenario.tokenizer.bos else [],
        "no default system message": made(start[: scenario.tokenizer.bos]) if scenario.tokenizer.system else [],
        "an EOS too many": [Rendered((*row.ids, eos), (*row.loss_mask, False)) for row in right],
        "a space before the EOS": [
            Rendered((*row.ids[:-1], space, eos), (*row.loss_mask, True))
            for row in right
            for space in spaces
            if row.ids[-1] == eos
        ],
        "no EOS": [Rendered(row.ids[:-1], row.loss_mask[:-1]) for row in right if row.ids[-1] == eos],
    }
    if limit is None:
        return others
    stopped = [Rendered((*row.ids[:-1], eos), row.loss_mask) for row in right if len(row.ids) == limit]
    return others | {
        "not cut off": whole(scenario, start),
        "cut off at the start": _cut(whole(scenario, start), slice(-limit, None)),
        "an EOS at the cut": stopped,
    }
