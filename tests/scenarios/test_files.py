"""Scenarios as files: what is not said is the base's, and what is wrong is told in one line."""

from __future__ import annotations

import dataclasses
import tempfile
import tomllib
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

import scenarios
from adapters.contract import SPACE, Scenario, Schedule, vary
from scenarios import files, rows, text
from tests.fuzzing import examples

BASE = scenarios.get("sft-ragged")


def written(folder: Path, content: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(content)
    return path


def loaded(folder: Path, content: str, seed: int | None = None) -> Scenario:
    return files.load(written(folder, content), seed)


def test_an_empty_file_is_the_base_by_another_name(tmp_path: Path) -> None:
    assert loaded(tmp_path, "") == dataclasses.replace(BASE, name="mine")


def test_several_datasets_are_of_the_rows_that_are_made(tmp_path: Path) -> None:
    longer = "[window]\naccumulation = 8\n[data]\nparts = "
    assert loaded(tmp_path, f"{longer}[30, 18]").data.datasets == (range(30), range(30, 48))
    with pytest.raises(
        files.BadScenario, match=r"data\.parts is \[12, 12\], not at least 1 each, and 48 rows together"
    ):
        loaded(tmp_path, f"{longer}[12, 12]")


def test_rows_beyond_the_vocabulary_have_no_words(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, '[model]\narchitecture = "qwen2"\nvocab_size = 151\nextra_rows = 24')
    pieces = len(scenario.tokenizer.vocabulary) - 127
    assert pieces > 0
    assert scenario.model.vocab_size == 151 + pieces
    assert loaded(tmp_path, "[model]\nvocab_size = 151\nextra_rows = 23").data.rows == BASE.data.rows


def test_another_architecture_than_the_bases_has_words_as_its_tokenizer_does(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, 'base = "sft-ragged-decay"\n[model]\narchitecture = "qwen2"')
    assert SPACE in scenario.tokenizer.vocabulary
    back = loaded(tmp_path, 'base = "sft-ragged-qwen2"\n[model]\narchitecture = "llama"')
    assert SPACE not in back.tokenizer.vocabulary


def test_fields_by_their_groups(tmp_path: Path) -> None:
    scenario = loaded(
        tmp_path,
        """
        name = "cosine"
        base = "sft-ragged-decay"
        [optimizer]
        max_grad_norm = "none"
        [optimizer.schedule]
        decay = "cosine"
        warmup_steps = 1
        warmup_from = "zero"
        [sharding]
        strategy = "zero2"
        """,
    )
    wanted = scenarios.get("sft-ragged-decay")
    schedule = Schedule(decay="cosine", warmup_steps=1, warmup_from="zero")
    assert scenario == vary(wanted, name="cosine", max_grad_norm=None, schedule=schedule, strategy="zero2")


def test_none_is_a_word_where_it_is_one_of_the_values(tmp_path: Path) -> None:
    assert loaded(tmp_path, '[sharding]\nstrategy = "none"').sharding.strategy == "none"


def test_a_larger_window_has_rows_of_its_own(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, "responses = [3, 5, 2]\n[window]\nranks = 4\naccumulation = 2\nmicro_batch_size = 2")
    assert len(scenario.data.rows) == 4 * 2 * 2 * 3
    first = text.render_all(scenario.data.rows[:16], scenario.tokenizer.vocabulary)
    assert [sum(row.loss_mask) for row in first] == [(3, 5, 2)[i % 3] for i in range(16)]


def test_a_smaller_window_keeps_the_rows_of_the_base(tmp_path: Path) -> None:
    assert loaded(tmp_path, "[window]\nranks = 1").data == BASE.data


def test_a_vocabulary_follows_the_model(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, '[model]\narchitecture = "qwen2"\nvocab_size = 64')
    assert len(scenario.tokenizer.vocabulary) == scenario.model.vocab_size > 64


def test_rows_as_they_are_written(tmp_path: Path) -> None:
    row = '[{role = "user", content = "ba be"}, {role = "assistant", content = "bi"}]'
    words = [word for message in BASE.data.rows[0] for word in message.content.split()][:3]
    row = row.replace("ba be", f"{words[0]} {words[1]}").replace("bi", words[2])
    content = f"[window]\nranks = 1\naccumulation = 1\nsteps = 2\n[data]\nrows = [{row}, {row}]"
    assert len(loaded(tmp_path, content).data.rows) == 2


@pytest.mark.parametrize("base", scenarios.CATALOGUE)
def test_a_base_that_is_named_and_nothing_else_is_that_scenario(base: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, f"base = '{base}'") == dataclasses.replace(scenarios.get(base), name="mine")


def test_several_epochs_of_rows_that_are_made(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, "[data]\nepochs = 4\n[window]\nsteps = 12")
    assert scenario.epochs_begun == 4
    assert len(scenario.data.rows) == 3 * scenario.rows_per_step


def test_a_tokenizer_with_a_bos(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, "responses = [9, 4]\n[tokenizer]\nbos = true")
    assert scenario.tokenizer.vocabulary[-1] == "<bos>"
    assert loaded(tmp_path, "base = 'sft-ragged-bos'\n[window]\nsteps = 4").window.steps == 4


def test_a_whole_number_is_as_good_as_a_float(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, "[optimizer]\nweight_decay = 0\nmax_grad_norm = 1")
    assert scenario.hash == BASE.hash


def test_a_seed_of_ones_own(tmp_path: Path) -> None:
    assert loaded(tmp_path, "seed = 3").data == scenarios.get("sft-ragged", 3).data
    assert loaded(tmp_path, "seed = 3", seed=4).data == scenarios.get("sft-ragged", 4).data


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("ranks = 1", "has no field 'ranks'"),
        ("[window]\nrankz = 1", "window has no field 'rankz', but ranks, micro_batch_size"),
        ("[window]\nranks = 0", "window.ranks is 0, not at least 1"),
        ("[window]\nranks = 1.5", "window.ranks is 1.5, not int"),
        ("[window]\nsteps = 100000", "rows"),
        ("window = 5", "window is 5, not a Window"),
        ("[precision]\ncompute = 'fp8'", "precision.compute is 'fp8', not Literal"),
        ("base = 'sft-raged'", "`lockstep list scenarios`"),
        ("base = 7", "base is 7"),
        ("base = ['x']", "base is ['x']"),
        ("name = '../up'", "it names folders"),
        ("name = '.'", "it names folders"),
        ("name = ''", "it names folders"),
        ("name = 'a@3'", "it names folders"),
        ("[model]\nvocab_size = 100000000", "at most 4096 words are made"),
        ("[data]\nparts = [5, 3]", "data.parts is [5, 3], not at least 1 each, and 24 rows together"),
        ("[data]\nparts = [24, 0]", "data.parts is [24, 0], not at least 1 each, and 24 rows together"),
        ("[model]\nvocab_size = 5", "vocab_size is 5, and at least 8 words are needed"),
        ("[model]\nvocab_size = 30\nextra_rows = 26", "less model.extra_rows, 26, and at least 8 words are needed"),
        ("responses = []", "responses is []"),
        ("responses = [0]", "responses is [0]"),
        ("responses = 'long'", "responses is 'long'"),
        ("seed = -1", "seed is -1"),
        ("seed = 'x'", "seed is 'x'"),
        ("name = 'sft-ragged'\n[window]\nranks = 1", "give this one another name"),
        ("[data]\nrows = []", "data.rows is 0 long"),
        ("[data]\nrows = [[{role = 'tool', content = 'x'}]]", "role is 'tool'"),
        ("[optimizer]\nlearning_rate = 'none'", "optimizer.learning_rate is 'none', not float"),
        ("[[optimizer.groups]]\ntensors = ['nothing.*']", "tensors has 'nothing.*', and no parameter is called so"),
        ("[model.lora]\ntargets = ['q']", "model.lora.targets has 'q', and no matrix"),
        ("name = ", "cannot be read"),
        ("x" * (files.LARGEST + 1), "no scenario is as long"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(files.BadScenario) as told:
        loaded(tmp_path, content)
    assert said in str(told.value)
    assert str(told.value).startswith(str(tmp_path / "mine.toml"))
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(files.BadScenario, match="cannot be read: No such file"):
        files.load(tmp_path / "none.toml")


@pytest.mark.fuzz
@settings(deadline=None, max_examples=examples(100))
@given(st.binary(max_size=300))
def test_whatever_is_in_a_file_it_is_a_scenario_or_told_in_one_line(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "any.toml")
        path.write_bytes(content)
        told = ""
        try:
            files.load(path)
        except files.BadScenario as error:
            told = str(error)
    assert "\n" not in told


def test_rows_of_the_catalogue_come_from_the_same_place() -> None:
    words = BASE.tokenizer.vocabulary
    assert rows.conversations(words, rows.RAGGED, 8, 3, 0) == BASE.data.rows


@pytest.mark.parametrize("name", scenarios.CATALOGUE)
def test_what_stands_in_a_scenarios_file_makes_that_very_scenario(name: str) -> None:
    scenario = scenarios.get(name, 1)
    told = tomllib.loads(tomli_w.dumps(files.content(scenario)))
    assert files.made(told, "other") == scenario
