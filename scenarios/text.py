"""The tokenizer, the chat template and the data of the scenarios, all made on the spot.

A conversation reads `<|user|> w w w <|assistant|> w w w <eos>`; words are split at spaces, one token each, and the
response is the assistant's words and the `<eos>` that ends them. This module also says what the right token ids and
loss mask of a conversation are, by itself, so that a framework's own rendering can be held against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.contract import BOS, Message, Row, RowFormat

PAD, EOS, UNK, USER, ASSISTANT, SYSTEM = "<pad>", "<eos>", "<unk>", "<|user|>", "<|assistant|>", "<|system|>"
SPECIAL = (PAD, EOS, UNK, USER, ASSISTANT, SYSTEM)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ '<|system|> ' + message['content'] + ' ' }}"
    "{% elif message['role'] == 'user' %}{{ '<|user|> ' + message['content'] + ' ' }}"
    "{% else %}{{ '<|assistant|> ' }}{% generation %}{{ message['content'] + ' <eos>' }}{% endgeneration %}"
    "{% if not loop.last %}{{ ' ' }}{% endif %}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def of_processor(template: str) -> str:
    """The same template for a multimodal processor, which does not read the tokenizer's: content may also be a list of
    parts."""
    parts = "message['content'] if message['content'] is string else message['content'] | map(attribute='text') | join"
    return template.replace("message['content']", f"({parts})")


@dataclass(frozen=True)
class Rendered:
    """A conversation as tokens."""

    ids: tuple[int, ...]
    loss_mask: tuple[bool, ...]
    """True where the token is part of a response and must be trained."""


def vocabulary(size: int) -> tuple[str, ...]:
    """`size` tokens: the special ones, then pronounceable words of two syllables."""
    consonants, vowels = "bdfgklmnprstvz", "aeiou"
    syllables = [c + v for c in consonants for v in vowels]
    words = (a + b for a in syllables for b in syllables)
    return (*SPECIAL, *(next(words) for _ in range(size - len(SPECIAL))))


def uniforms(seed: int, count: int) -> NDArray[np.float64]:
    """`count` numbers in [0, 1), the same on every machine: 53 raw bits each of PCG64, no library function between."""
    raw = np.random.PCG64(seed).random_raw(count)
    return np.asarray(raw >> np.uint64(11), dtype=np.float64) * 2.0**-53


def conversations(
    words: tuple[str, ...], prompt_lengths: list[int], response_lengths: list[int], seed: int
) -> tuple[Row, ...]:
    """One question and answer a row; a response length counts its `<eos>`."""
    plain = [word for word in words[len(SPECIAL) :] if word != BOS]
    draw = iter(uniforms(seed, sum(prompt_lengths) + sum(response_lengths)))

    def say(count: int) -> str:
        return " ".join(plain[int(next(draw) * len(plain))] for _ in range(count))

    return tuple(
        (Message("user", say(prompt)), Message("assistant", say(response - 1)))
        for prompt, response in zip(prompt_lengths, response_lengths, strict=True)
    )


def render(row: Row, words: tuple[str, ...], row_format: RowFormat = "conversation") -> Rendered:
    """Token ids and loss mask of a conversation. Raises KeyError for a word outside the vocabulary."""
    (rendered,) = render_all((row,), words, row_format)
    return rendered


def render_all(rows: Iterable[Row], words: tuple[str, ...], row_format: RowFormat = "conversation") -> list[Rendered]:
    """The same of several conversations."""
    index = {word: i for i, word in enumerate(words)}
    return [_rendered(row, index, row_format) for row in rows]


def _rendered(row: Row, index: Mapping[str, int], row_format: RowFormat) -> Rendered:
    """Every answer is trained; of prompts and completions, the last one alone, for all before it is the prompt."""
    ids: list[int] = []
    mask: list[bool] = []
    for number, message in enumerate(row, 1):
        answer = message.role == "assistant"
        trained = answer and (row_format == "conversation" or number == len(row))
        ids.append(index[ASSISTANT if answer else USER])
        mask.append(False)
        spoken = [*message.content.split(), *([EOS] if answer else [])]
        ids.extend(index[word] for word in spoken)
        mask.extend([trained] * len(spoken))
    return Rendered(tuple(ids), tuple(mask))


def with_bos(words: tuple[str, ...]) -> tuple[str, ...]:
    """The vocabulary with a `<bos>` in the place of its last word, so that the ids of all others are the same."""
    return (*words[:-1], BOS)


def tokenizer_files(words: tuple[str, ...], max_positions: int) -> dict[str, dict[str, Any]]:
    """Name and content of the files that `PreTrainedTokenizerFast` loads; written without any tokenizer library."""
    added = [
        {
            "id": i,
            "content": t,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for i, t in enumerate(words)
        if t in SPECIAL or t == BOS
    ]
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(words)}, "unk_token": UNK},
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD,
        "eos_token": EOS,
        "unk_token": UNK,
        "additional_special_tokens": [USER, ASSISTANT, SYSTEM],
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": max_positions,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    return {"tokenizer.json": tokenizer, "tokenizer_config.json": config}
