"""Every fault of the catalogue, recorded as a run of one's own: what is found, and what no recording can see."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import scenarios
from adapters.contract import Scenario, vary
from adapters.faults import CATALOGUE, RIGHT
from harness.recordings import held, reader, telling
from harness.recordings.telling import Told
from tests.faults import test_catalogue
from tests.harness.recordings import simulated

UNSEEN = {
    "learning-rate-misreported": "no log is recorded",
    "row-repeated": "of the rows there are hashes, and nobody has said which are wanted",
    "attention-leaks": "the forward pass is trusted",
    "softcap-left-out": "the forward pass is trusted",
    "device-copy-stale": "the forward pass is trusted",
    "tied-input-lost": "of a tied head the rows are asked whose tokens are no input",
    "auxiliary-scaled-by-accumulation": "the loss of the router has no gradient in the head",
    "auxiliary-scaled-by-world-size": "the loss of the router has no gradient in the head",
    "auxiliary-missing": "the loss of the router has no gradient in the head",
}
"""Faults that no recording shows, and why. docs/record.md has them."""

OTHERWISE = {"positions-run-on": {"inputs.batch"}}
"""What they are found by, where that is not a code of the catalogue's."""

BY_ITSELF = {
    "drop-intermediate", "keep-first", "keep-last", "scaled-by-accumulation", "divided-by-accumulation",
    "scaled-by-world-size", "prompt-trained", "eos-untrained", "padding-id-untrained", "first-token-untrained",
    "mask-shifted", "mask-late",
    "tag-trained", "learning-rate-late", "learning-rate-zero-first", "step-count-ahead",
    "rank-alone", "gradient-not-zeroed", "decay-in-gradient", "tied-head-lost",
}  # fmt: skip
"""Those that are found where nobody has said what was wanted: no objective does that."""

QUICK = {"drop-intermediate", "mean-of-ranks", "mask-shifted", "decay-on-norms", "rank-alone"}
"""One of a kind."""


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def scenario_of(fault: str) -> Scenario:
    """One that shows it. Clipping to a limit hides a gradient that is too long: then its log alone tells."""
    if CATALOGUE[fault].cause == "gradient-scale":
        return vary(scenarios.get("sft-ragged-noclip"), steps=2)
    return test_catalogue._scenario(test_catalogue._quick(fault))


def told(scenario: Scenario, fault: str | None, folder: Path, wanted: bool) -> Told:
    plan = RIGHT if fault is None else CATALOGUE[fault].plan
    recording = reader.read(simulated.record(scenario, plan, folder))
    return telling.tell(recording, held.like(scenario, recording) if wanted else None)


def said(found: Told) -> str:
    return "\n".join([*(f"{f.code}: {f.message}" for f in found.findings), *found.unknown, *found.sentences])


def _marked() -> list[object]:
    slow = [pytest.mark.slow, pytest.mark.exhaustive]
    return [pytest.param(name, marks=() if name in QUICK else slow) for name in CATALOGUE]


@pytest.mark.parametrize("fault", _marked())
def test_a_planted_fault_is_found_or_cannot_be_seen(fault: str, tmp_path: Path) -> None:
    found = told(scenario_of(fault), fault, tmp_path / "wanted", wanted=True)
    codes = {f.code for f in found.findings}
    if fault in UNSEEN:
        assert not codes, said(found)
        return
    assert codes & OTHERWISE.get(fault, {*CATALOGUE[fault].codes}), said(found)
    described = told(scenario_of(fault), fault, tmp_path / "described", wanted=False)
    assert bool(described.findings) == (fault in BY_ITSELF), said(described)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=() if n == "sft-ragged-batch2" else [pytest.mark.slow, pytest.mark.exhaustive])
        for n in test_catalogue.RUNNABLE
    ],
)
def test_a_clean_run_has_no_finding(name: str, tmp_path: Path) -> None:
    for wanted in (True, False):
        found = told(scenarios.get(name), None, tmp_path / str(wanted), wanted)
        assert not found.findings, said(found)
        assert not found.unknown, said(found)
