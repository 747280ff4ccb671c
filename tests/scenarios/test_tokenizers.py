"""What transformers makes of a scenario's tokenizer and template are the rows as `scenarios.rendering` has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import scenarios
from adapters.contract import Scenario, to_dict, vary
from scenarios import checkpoint, rendering, text, tokenizers

transformers = pytest.importorskip("transformers")

BOS, PAD_EOS = scenarios.get("sft-ragged-bos"), scenarios.get("sft-ragged-pad-eos")
SPOKEN = {
    "bos, system and space": BOS,
    "bos alone": vary(BOS, system="", trailing_space=False),
    "system alone": vary(scenarios.get("sft-ragged"), system="baba babe"),
    "several turns, pad = EOS": PAD_EOS,
    "no pad token, on the left": vary(PAD_EOS, pad_token="none", padding_side="left"),
    "a space in several turns": vary(PAD_EOS, trailing_space=True),
    "pieces": vary(scenarios.get("sft-ragged-qwen2"), system="baba babe", pad_token="eos"),
}


def loaded(scenario: Scenario, folder: Path):
    checkpoint.write(scenario, folder)
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("name", SPOKEN)
def test_the_template_gives_the_ids_and_the_responses_of_every_row(name: str, tmp_path: Path) -> None:
    scenario = SPOKEN[name]
    tokenizer = loaded(scenario, tmp_path)
    for row, right in zip(scenario.data.rows, rendering.rendered(scenario), strict=True):
        messages = [to_dict(m) for m in row]
        got = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
        assert tuple(got["input_ids"]) == right.ids
        assert tuple(map(bool, got["assistant_masks"])) == right.loss_mask


@pytest.mark.parametrize("name", SPOKEN)
def test_a_system_message_of_the_rows_own_takes_the_place_of_the_default(name: str, tmp_path: Path) -> None:
    tokenizer = loaded(SPOKEN[name], tmp_path)
    said = tokenizer.apply_chat_template(
        [{"role": "system", "content": "bafe"}, {"role": "user", "content": "bafi"}], tokenize=False
    )
    assert said.count(text.SYSTEM) == 1
    assert "baba babe" not in said


def test_a_bos_comes_before_a_text_where_special_tokens_are_asked_for(tmp_path: Path) -> None:
    tokenizer = loaded(BOS, tmp_path)
    bos = BOS.tokenizer.vocabulary.index("<bos>")
    assert tokenizer.bos_token_id == bos
    assert tokenizer("baba babe")["input_ids"][0] == bos
    assert bos not in tokenizer("baba babe", add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize(("pad_token", "id_"), [("own", 0), ("eos", 1), ("none", None)])
def test_tokenizer_and_model_name_one_padding_token(pad_token: str, id_: int | None, tmp_path: Path) -> None:
    scenario = vary(PAD_EOS, pad_token=pad_token)
    assert loaded(scenario, tmp_path).pad_token_id == id_
    assert json.loads((tmp_path / "config.json").read_text())["pad_token_id"] == id_
    assert tokenizers.pad_id(scenario) == id_


@pytest.mark.parametrize("name", ["sft-ragged", "sft-ragged-qwen2", "sft-ragged-processor"])
def test_what_asks_for_nothing_has_the_files_that_it_had(name: str) -> None:
    scenario = scenarios.get(name)
    family = tokenizers.MADE_BY["pieces" if "qwen2" in name else "words"]
    assert tokenizers.files(scenario) == family(scenario.tokenizer.vocabulary, scenario.model.max_positions)
