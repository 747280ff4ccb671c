"""The tokenizer of a scenario as files: that of its family, with the special tokens and the template asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapters.contract import BOS, PadToken, Scenario
from scenarios import pieces, text
from scenarios.architectures import FAMILIES

Files = dict[str, dict[str, Any]]

MADE_BY: dict[str, Callable[[tuple[str, ...], int], Files]] = {
    "words": text.tokenizer_files,
    "pieces": pieces.tokenizer_files,
}

PADDING: dict[PadToken, str | None] = {"own": text.PAD, "eos": text.EOS, "none": None}
"""The token that a tokenizer, and the model's `config.json`, name for padding."""


def files(scenario: Scenario) -> Files:
    """Name and content of every file of the tokenizer."""
    made = MADE_BY[FAMILIES[scenario.model.architecture].tokenizer](
        scenario.tokenizer.vocabulary, scenario.model.max_positions
    )
    tokenizer, config = made["tokenizer.json"], made["tokenizer_config.json"]
    config["chat_template"] = _template(scenario, config["chat_template"])
    if scenario.tokenizer.padding_side != "right":
        config["padding_side"] = scenario.tokenizer.padding_side
    if (pad := PADDING[scenario.tokenizer.pad_token]) is None:
        del config["pad_token"]
    else:
        config["pad_token"] = pad
    if scenario.tokenizer.bos:
        config["bos_token"] = BOS
        tokenizer["post_processor"] = _bos_first(scenario.tokenizer.vocabulary.index(BOS))
    return made


def _template(scenario: Scenario, base: str) -> str:
    """The chat template: that of the tokenizer's kind with what the scenario lets it write before and behind it."""
    space = " " if f"{text.USER} " in base else ""  # where words are split at spaces
    bos = f"{{{{ bos_token + '{space}' }}}}" if scenario.tokenizer.bos else ""
    said = f"{text.SYSTEM}{space}{scenario.tokenizer.system}{space}"
    unless = "{% if messages[0]['role'] != 'system' %}"
    system = f"{unless}{{{{ '{said}' }}}}{{% endif %}}" if scenario.tokenizer.system else ""
    behind = (
        "{% if messages[-1]['role'] == 'assistant' %}{{ ' ' }}{% endif %}" if scenario.tokenizer.trailing_space else ""
    )
    return bos + system + base + behind


def pad_id(scenario: Scenario) -> int | None:
    """Id of the padding token that the tokenizer and the model's `config.json` name, if they name one."""
    word = PADDING[scenario.tokenizer.pad_token]
    return None if word is None else text.SPECIAL.index(word)


def _bos_first(bos: int) -> dict[str, Any]:
    """What a tokenizer puts around a text where it adds special tokens."""

    def part(kind: str, name: str) -> dict[str, Any]:
        return {kind: {"id": name, "type_id": 0}}

    first = part("SpecialToken", BOS)
    return {
        "type": "TemplateProcessing",
        "single": [first, part("Sequence", "A")],
        "pair": [first, part("Sequence", "A"), part("Sequence", "B")],
        "special_tokens": {BOS: {"id": BOS, "ids": [bos], "tokens": [BOS]}},
    }
