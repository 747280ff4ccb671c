"""A whole fuzz of a framework that is played: what is wrong is found, made small, kept, and gone past."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.contract import Scenario
from harness.fuzzing import record
from harness.fuzzing.search import Wish
from harness.judging.accepted import Entry
from harness.session.folder import BadFolder
from harness.verdicts.findings import Diagnosis
from scenarios import files
from tests.harness.fuzzing.played import Framework, Watcher, both, fuzz, means, offload
from tests.harness.session.world import NEW, OLD, Ran


@pytest.fixture
def wish(tmp_path: Path) -> Wish:
    folder = tmp_path / "out"
    folder.mkdir()
    return Wish(OLD, folder, minutes=10, most=30)


def _seeded(wish: Wish, *contents: str) -> None:
    """Put scenarios into the corpus."""
    corpus = wish.folder / "corpus"
    corpus.mkdir()
    for number, content in enumerate(contents):
        (corpus / f"{number}.toml").write_text(f"responses = [5, 2, 9, 3, 7, 4]\n{content}")


OFFLOAD = """
[window]
ranks = 2
micro_batch_size = 1
accumulation = 6
steps = 2
[model]
tied_embeddings = true
[sharding]
strategy = "zero2"
offload_optimizer = true
"""


def test_two_causes_are_found_made_small_and_kept(wish: Wish) -> None:
    _seeded(wish, OFFLOAD)
    watcher = Watcher()
    found = fuzz(wish, Framework(wrong=both), watcher=watcher)
    assert found.complete
    by_cause = {cause.cause: cause for cause in found.causes}
    assert by_cause["dropped-micro-batches"].settings == {
        "window.accumulation": 3,
        "sharding.strategy": "zero2",
        "sharding.offload_optimizer": True,
    }
    assert by_cause["dropped-micro-batches"].kind == "dropped-micro-batches: 1 of 3"
    assert by_cause["mean-of-means"].settings == {"window.accumulation": 2}
    assert len(found.causes) == 2  # each was found once, in whatever scenario it showed again
    assert by_cause["mean-of-means"].seen > 5
    for cause in found.causes:
        scenario = files.load(wish.folder / cause.file)
        assert {one.cause for one in both(scenario)} >= {cause.cause}
        assert cause.command.endswith(f"--scenario {wish.folder / cause.file}")
        assert cause.steady
        assert cause.markdown == f"# {cause.kind}"
    assert len(list((wish.folder / "corpus").glob("fuzz-*.toml"))) == 2
    assert record.read(wish.folder) == found
    assert found.cells == sum(found.verdicts.values()) > 30
    assert found.coverage["sharding.strategy"]["zero2"] > 0


def test_nothing_is_left_of_the_cells(wish: Wish) -> None:
    fuzz(replace(wish, most=3), Framework())
    assert not (wish.work / "cells").exists()
    assert {path.name for path in wish.folder.iterdir()} <= {"fuzz.json", "tried.jsonl", "work"}


def test_one_that_was_stopped_goes_on(wish: Wish) -> None:
    first, second = Framework(wrong=means), Framework(wrong=means)
    before = fuzz(replace(wish, most=10), first)
    after = fuzz(wish, second)
    assert [cause.settings for cause in after.causes] == [cause.settings for cause in before.causes]
    assert after.cells > before.cells
    assert after.seconds > before.seconds
    again = {scenario.hash for scenario in first.ran} & {scenario.hash for scenario in second.ran}
    assert not again


def test_what_an_interrupted_one_was_making_small_comes_first(wish: Wish) -> None:
    stopped = Framework(wrong=means)
    numbers = itertools.count()

    def play(job: object) -> Ran:
        if next(numbers) == 12:
            raise KeyboardInterrupt
        return Ran()

    stopped.play = play
    with pytest.raises(KeyboardInterrupt):
        fuzz(wish, stopped)
    left = record.read(wish.folder)
    assert not left.complete
    after = fuzz(wish, Framework(wrong=means))
    assert [cause.settings for cause in after.causes] == [{"window.accumulation": 2}]


def test_a_line_that_was_cut_off_is_left_out(wish: Wish) -> None:
    fuzz(replace(wish, most=3), Framework())
    path = wish.folder / record.TRIED
    path.write_text(path.read_text() + '{"row": {"window.ra')
    assert len(list(record.tried(wish.folder))) == 3


def test_a_corpus_of_others_is_run_first_and_what_is_none_is_told(wish: Wish, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "one.toml").write_text(f"responses = [5, 2, 9, 3, 7, 4]\n{OFFLOAD}")
    (tmp_path / "corpus" / "two.toml").write_text("[window]\nranks = 0\n")
    watcher, framework = Watcher(), Framework(wrong=offload)
    found = fuzz(replace(wish, corpus=tmp_path / "corpus", most=0), framework, watcher=watcher)
    assert [cause.cause for cause in found.causes] == ["dropped-micro-batches"]
    assert framework.ran[0].window.accumulation == 6
    (said,) = watcher.warned
    assert "two.toml is left out" in said
    assert len(list((tmp_path / "corpus").glob("fuzz-*.toml"))) == 1


def test_what_is_accepted_is_told_apart(wish: Wish) -> None:
    entry = Entry(
        framework="deepspeed",
        versions="==0.18.9",
        code="weights.mean-of-means",
        sentence="as it is",
        link="https://example.org/1",
    )
    _seeded(wish, OFFLOAD)
    found = fuzz(replace(wish, most=5), Framework(wrong=both), (entry,))
    assert {cause.cause: cause.accepted for cause in found.causes} == {
        "mean-of-means": "as it is (https://example.org/1)",
        "dropped-micro-batches": None,
    }


def test_of_a_named_scenario_is_what_has_all_of_it(wish: Wish) -> None:
    entry = Entry(
        framework="deepspeed",
        versions="==0.18.9",
        scenario="sft-ragged-bf16",
        code="weights.scale",
        sentence="as it is",
        link="https://example.org/1",
    )

    def coarse(scenario: Scenario) -> list[Diagnosis]:
        if scenario.precision.compute != "bf16":
            return []
        return [Diagnosis("gradient-scale", "off", 1.0, ("weights.scale",), "", kind="gradient-scale: 1/GA")]

    _seeded(wish, '[precision]\ncompute = "bf16"\n')
    found = fuzz(replace(wish, most=0), Framework(wrong=coarse), (entry,))
    assert [cause.accepted for cause in found.causes] == ["as it is (https://example.org/1)"]
    elsewhere = entry.model_copy(update={"scenario": "sft-ragged-zero2-offload"})
    again = fuzz(replace(wish, folder=_other(wish), most=0), Framework(wrong=coarse), (elsewhere,))
    assert [cause.accepted for cause in again.causes] == [None]


def _other(wish: Wish) -> Path:
    folder = wish.folder.with_name("other")
    (folder / "corpus").mkdir(parents=True)
    (folder / "corpus" / "0.toml").write_text((wish.folder / "corpus" / "0.toml").read_text())
    return folder


def test_what_another_release_has_too_is_not_told(wish: Wish) -> None:
    _seeded(wish, OFFLOAD)
    found = fuzz(replace(wish, against=NEW, most=10), Framework(wrong=both), against=Framework(wrong=means))
    assert [cause.cause for cause in found.causes] == ["dropped-micro-batches"]
    assert found.causes[0].settings["window.accumulation"] == 3


def test_one_of_two_ambiguous_names_is_the_same_cause(wish: Wish) -> None:
    """On two ranks it is a micro-batch, on one a micro-step as well: found on either, it is known on the other."""
    _seeded(wish, "[window]\nranks = 1\naccumulation = 2\n", "[window]\nranks = 2\naccumulation = 2\n")
    found = fuzz(replace(wish, most=0), Framework(wrong=means))
    assert len(found.causes) == 1


def test_what_cannot_be_judged_is_counted_and_no_cause(wish: Wish) -> None:
    framework = Framework(wrong=means)
    framework.play = lambda job: Ran("crashed", reason="rank 0: killed by SIGSEGV")
    found = fuzz(replace(wish, most=5), framework)
    assert found.causes == []
    assert found.verdicts == {"unknown": 5}
    assert [(one.reason, one.count) for one in found.unknown] == [("rank 0: killed by SIGSEGV", 5)]


def test_a_scenario_that_fails_only_sometimes_is_told(wish: Wish) -> None:
    numbers = itertools.count()

    def seldom(scenario: Scenario) -> list[Diagnosis]:
        return means(scenario) if next(numbers) == 0 else []

    _seeded(wish, "[window]\naccumulation = 2\n")
    found = fuzz(replace(wish, most=0), Framework(wrong=seldom))
    assert [cause.steady for cause in found.causes] == [False]


def test_the_time_is_kept(wish: Wish) -> None:
    found = fuzz(replace(wish, minutes=1e-9), Framework(wrong=means))
    assert (found.cells, found.causes, found.complete) == (0, [], True)


def test_a_folder_of_another_fuzz_is_refused(wish: Wish) -> None:
    fuzz(replace(wish, most=1), Framework())
    with pytest.raises(BadFolder, match="seed 0; give another --out"):
        fuzz(replace(wish, seed=1), Framework())


def test_a_damaged_record_is_one_line(wish: Wish) -> None:
    (wish.folder / record.FILE).write_text(json.dumps({"schema": 2}))
    with pytest.raises(record.UnreadableFuzz, match="give another --out"):
        fuzz(wish, Framework())
