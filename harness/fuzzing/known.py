"""Whether what is found in a drawn scenario is accepted already, by the entries of `accepted.toml`."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import scenarios
from adapters.contract import Scenario, fields_of
from harness.fuzzing.symptoms import Symptom
from harness.judging.accepted import Entry
from harness.verdicts.verdict import CellRecord
from scenarios import files

OF_THE_SAMPLE = ("name", "seed", "data.rows", "tokenizer.vocabulary", "model.vocab_size")


def accepted(
    symptom: Symptom, cell: CellRecord, scenario: Scenario, packages: Mapping[str, str], entries: Sequence[Entry]
) -> Entry | None:
    """The entry that lists a symptom; None if it is new. `packages`: versions that the cell ran with."""
    codes: Collection[str] = symptom.names if symptom.diagnosis is None else symptom.diagnosis.codes
    return next(
        (
            entry
            for entry in entries
            if entry.code in codes and entry.cause in ("", symptom.cause) and _covers(entry, cell, scenario, packages)
        ),
        None,
    )


def _covers(entry: Entry, cell: CellRecord, scenario: Scenario, packages: Mapping[str, str]) -> bool:
    """An entry of a named scenario is of a drawn one too that has all by which the named one differs from the base."""
    names = [cell.scenario, *(name for name in _like(scenario) if fnmatch.fnmatchcase(name, entry.scenario))]
    return any(entry.covers(cell.model_copy(update={"scenario": name}), packages, scenario) for name in names)


def _like(scenario: Scenario) -> Iterator[str]:
    has = {path: value for path, value, _ in fields_of(scenario)}
    for name in scenarios.CATALOGUE:
        own = _own(name)
        if own and all(has.get(path) == value for path, value in own.items()):
            yield name


@cache
def _own(name: str) -> Mapping[str, Any]:
    """By what a named scenario differs from the base."""
    base = {path: value for path, value, _ in fields_of(scenarios.get(files.BASE))}
    told = ((path, value) for path, value, _ in fields_of(scenarios.get(name)))
    return {path: value for path, value in told if path not in OF_THE_SAMPLE and base.get(path) != value}
