"""The folder that a framework is pointed at means to transformers what the scenario says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import scenarios
from adapters.contract import Message, Model, Scenario, to_dict, vary
from scenarios import checkpoint, text, weights

transformers = pytest.importorskip("transformers")


FAMILIES = {
    "sft-ragged-qwen2": "Qwen2ForCausalLM",
    "sft-ragged-qwen3": "Qwen3ForCausalLM",
    "sft-ragged-gpt2": "GPT2LMHeadModel",
    "sft-ragged-gemma": "Gemma2ForCausalLM",
    "sft-ragged-stablelm": "StableLmForCausalLM",
}
"""Scenarios with a model of their own, by transformers' class of it."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One checkpoint for each model; those of other scenarios are that of the base."""
    path = tmp_path_factory.mktemp("checkpoint")
    for name in ("sft-ragged", *FAMILIES):
        checkpoint.write(scenarios.get(name), path / name)
    return {name: path / (name if name in FAMILIES else "sft-ragged") for name in scenarios.CATALOGUE}


@pytest.fixture(scope="module")
def folder(folders: dict[str, Path]) -> Path:
    return folders["sft-ragged"]


@pytest.fixture(scope="module")
def tokenizers(folders: dict[str, Path]):
    known = {path: transformers.AutoTokenizer.from_pretrained(path) for path in set(folders.values())}
    return {name: known[path] for name, path in folders.items()}


@pytest.fixture(scope="module")
def tokenizer(tokenizers):
    return tokenizers["sft-ragged"]


def test_all_scenarios_speak_one_language() -> None:
    """So that one tokenizer a model, loaded once, stands for all of them in this file."""
    words = scenarios.get("sft-ragged").tokenizer.vocabulary
    assert {scenarios.get(name).tokenizer.vocabulary[: len(words) - 1] for name in scenarios.CATALOGUE} == {words[:-1]}
    every = [scenarios.get(name) for name in scenarios.CATALOGUE if name not in FAMILIES]
    plain = [s for s in every if s.model.architecture == "llama"]
    assert {s.tokenizer.vocabulary for s in every if not s.tokenizer.bos} == {words}
    spoken = {
        (replace(s.model, lora=None, gradient_checkpointing=False), s.tokenizer.vocabulary)
        for s in plain
        if not s.tokenizer.bos
    }
    assert spoken == {(Model(), words)}


@pytest.mark.parametrize("name", [n for n in scenarios.CATALOGUE if not scenarios.get(n).tokenizer.bos])
def test_the_tokenizer_gives_the_ids_and_the_mask_that_render_gives(name: str, tokenizers) -> None:
    scenario, tokenizer = scenarios.get(name), tokenizers[name]
    for number, row in enumerate(scenario.data.rows):
        got = tokenizer.apply_chat_template(
            [to_dict(m) for m in row], return_dict=True, return_assistant_tokens_mask=True
        )
        right = text.render(row, scenario.tokenizer.vocabulary)
        assert tuple(got["input_ids"]) == right.ids, f"row {number}"
        marked = all(m.content or m.role == "user" for m in row)  # of an EOS alone transformers marks nothing
        assert not marked or tuple(map(bool, got["assistant_masks"])) == right.loss_mask, f"row {number}"


@pytest.mark.parametrize("name", ["sft-ragged", *FAMILIES])
def test_several_turns_and_the_generation_prompt(name: str, tokenizers) -> None:
    words, tokenizer = text.vocabulary(128), tokenizers[name]
    row = (
        Message("user", f"{words[9]} {words[10]}"),
        Message("assistant", words[11]),
        Message("user", words[12]),
        Message("assistant", f"{words[13]} {words[14]}"),
    )
    messages = [to_dict(m) for m in row]
    got = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    right = text.render(row, words)
    assert tuple(got["input_ids"]) == right.ids
    assert tuple(map(bool, got["assistant_masks"])) == right.loss_mask
    prompt = tokenizer.apply_chat_template(messages[:1], add_generation_prompt=True)
    assert tuple(prompt) == right.ids[: len(prompt)]
    assert prompt[-1] == words.index(text.ASSISTANT)


def test_of_a_prompt_and_a_completion_the_last_answer_alone_is_trained(tmp_path: Path) -> None:
    base = scenarios.get("sft-ragged-pairs")
    question, answer = base.data.rows[0]
    scenario = vary(base, rows=((question, answer, *base.data.rows[1]), *base.data.rows[1:]))
    checkpoint.write(scenario, tmp_path)
    line = json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[0])
    alone = text.render(base.data.rows[1], base.tokenizer.vocabulary)
    assert line["loss_mask"] == [0] * (len(line["loss_mask"]) - len(alone.ids)) + [int(m) for m in alone.loss_mask]
    every = text.render(scenario.data.rows[0], base.tokenizer.vocabulary)
    assert tuple(line["input_ids"]) == every.ids
    assert sum(every.loss_mask) > sum(line["loss_mask"])


def test_special_tokens(tokenizer) -> None:
    assert (tokenizer.pad_token, tokenizer.eos_token, tokenizer.unk_token) == (text.PAD, text.EOS, text.UNK)
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (0, 1)
    assert len(tokenizer) == len(set(text.vocabulary(128))) == 128
    assert tokenizer.convert_ids_to_tokens(range(128)) == list(text.vocabulary(128))


def test_rows_file_holds_every_row_rendered(folder: Path) -> None:
    scenario = scenarios.get("sft-ragged")
    lines = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    assert len(lines) == len(scenario.data.rows)
    for line, row in zip(lines, scenario.data.rows, strict=True):
        right = text.render(row, scenario.tokenizer.vocabulary)
        assert line["messages"] == [to_dict(m) for m in row]
        assert tuple(line["input_ids"]) == right.ids
        assert tuple(map(bool, line["loss_mask"])) == right.loss_mask


def test_words_outside_the_vocabulary_are_an_error() -> None:
    with pytest.raises(KeyError, match="xyzzy"):
        text.render((Message("user", "xyzzy"),), text.vocabulary(32))


@pytest.mark.parametrize("name", FAMILIES)
def test_transformers_loads_the_very_weights_of_every_family(name: str, folders: dict[str, Path]) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(folders[name])
    expected = weights.initial(scenarios.get(name).model, 0)
    loaded = dict(model.named_parameters())
    assert type(model).__name__ == FAMILIES[name]
    assert list(loaded) == list(expected)
    assert all(np.array_equal(loaded[n].detach().numpy(), value) for n, value in expected.items())
    assert 30_000 <= sum(p.numel() for p in loaded.values()) <= 100_000


def test_a_word_is_one_piece_wherever_it_stands(tokenizers) -> None:
    """Frameworks make tokens of a row in pieces of their own, with or without the space before a word."""
    tokenizer, words = tokenizers["sft-ragged-qwen2"], text.vocabulary(128)
    assert type(tokenizer).__name__.startswith("Qwen2Tokenizer")
    for number in range(len(text.SPECIAL), 128):
        word, other = words[number], words[6]
        for said in (word, f" {word}", f"{text.USER}{word}", f"{other} {word}", f"{other} {word}{text.EOS}"):
            assert number in tokenizer(said)["input_ids"], said
            assert not [i for i in tokenizer(said)["input_ids"] if i >= 128], said


def load(scenario: Scenario, folder: Path):
    checkpoint.write(scenario, folder)
    return transformers.AutoModelForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize("tied", [False, True])
def test_transformers_loads_the_very_weights(tied: bool, tmp_path: Path) -> None:
    scenario = replace(scenarios.get("sft-ragged", 5), model=Model(tied_embeddings=tied))
    model = load(scenario, tmp_path)
    expected = weights.initial(scenario.model, 5)
    loaded = dict(model.named_parameters())
    assert type(model).__name__ == "LlamaForCausalLM"
    assert list(loaded) == list(expected)
    for name, value in expected.items():
        assert loaded[name].dtype == torch.float32
        assert np.array_equal(loaded[name].detach().numpy(), value), name
    assert 30_000 <= sum(p.numel() for p in loaded.values()) <= 100_000


def test_the_model_is_configured_as_the_scenario_says(folder: Path) -> None:
    config, model = transformers.AutoConfig.from_pretrained(folder), Model()
    assert (config.hidden_size, config.num_hidden_layers) == (model.hidden_size, model.layers)
    assert (config.num_attention_heads, config.num_key_value_heads) == (model.heads, model.kv_heads)
    assert (config.head_dim, config.intermediate_size) == (model.head_dim, model.intermediate_size)
    assert (config.rms_norm_eps, config.vocab_size) == (model.rms_eps, model.vocab_size)
    assert config.attention_dropout == 0
    assert config.use_cache is False


def test_a_processor_is_there_when_asked_for_and_only_then(folder: Path, tmp_path: Path) -> None:
    checkpoint.write(scenarios.get("sft-ragged-processor"), tmp_path)
    plain, more = ({file.name for file in at.iterdir()} for at in (folder, tmp_path))
    assert more - plain == {"preprocessor_config.json", "chat_template.json"}
    assert plain <= more


@pytest.mark.parametrize("base", ["sft-ragged", "sft-ragged-qwen2"])
def test_transformers_makes_a_multimodal_processor_of_it(tmp_path: Path, base: str) -> None:
    pytest.importorskip("PIL")
    scenario = vary(scenarios.get(base), processor=True)
    checkpoint.write(scenario, tmp_path)
    processor = transformers.AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(processor, transformers.ProcessorMixin)
    assert type(processor).__name__ == "LlavaProcessor"
    row = scenario.data.rows[0]
    parts = [{"role": m.role, "content": [{"type": "text", "text": m.content}]} for m in row]
    spoken = [processor.apply_chat_template(messages) for messages in (parts, [to_dict(m) for m in row])]
    assert spoken == [processor.tokenizer.apply_chat_template([to_dict(m) for m in row], tokenize=False)] * 2
    assert len(processor.tokenizer) == len(scenario.tokenizer.vocabulary)
    assert tuple(processor.tokenizer(spoken[0])["input_ids"]) == text.render(row, scenario.tokenizer.vocabulary).ids
