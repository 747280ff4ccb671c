"""Completions that were sampled: where the answer of a row begins, whether it ends, and what of it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from adapters.contract import Scenario
from adapters.inside.data import Tokens


def begins(row: Tokens) -> int:
    """The place of the first token of a row's last answer; everything before it is the prompt."""
    before = (place for place in range(len(row.response) - 1, -1, -1) if not row.response[place])
    return next(before, -1) + 1


def endless(row: Tokens, scenario: Scenario) -> bool:
    """Whether a completion does not end in an EOS."""
    return row.ids[-1] != scenario.tokenizer.vocabulary.index("<eos>")


def trained(rows: Sequence[Tokens], scenario: Scenario) -> list[Tokens]:
    """The rows, nothing to be trained in completions that do not end where these are masked."""
    if scenario.objective.method != "grpo" or scenario.objective.truncated == "trained":
        return list(rows)
    return [replace(row, loss_mask=(0,) * len(row.ids)) if endless(row, scenario) else row for row in rows]
