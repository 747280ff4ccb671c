"""Small models and tokenizers: what is known by names, and what is kept of a config.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.validation.read.bounded import MAX_BYTES, BadConfiguration
from harness.validation.read.configuration import Configuration, Family, Setting
from harness.validation.small import families, model, sizes, tokens

QWEN, CHATML, LLAMA3 = "<|endoftext|>", "<|im_end|>", "<|eot_id|>"
BEGIN, END = "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>"

BY_NAME = [
    # name, architecture, tied, bos, eos, pad, what its template begins with
    ("meta-llama/Llama-2-7b-hf", "llama", False, "<s>", "</s>", None, None),
    ("meta-llama/Llama-2-13b-chat-hf", "llama", False, "<s>", "</s>", None, "<s>[INST] hi [/INST]"),
    ("meta-llama/Meta-Llama-3-8B", "llama", False, "<|begin_of_text|>", "<|end_of_text|>", None, None),
    ("meta-llama/Meta-Llama-3-8B-Instruct", "llama", False, "<|begin_of_text|>", LLAMA3, None,
     "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"),
    ("meta-llama/Llama-3.1-8B-Instruct", "llama", False, "<|begin_of_text|>", LLAMA3, None,
     "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"),
    ("NousResearch/Llama-3.2-1B", "llama", True, "<|begin_of_text|>", "<|end_of_text|>", None, None),
    ("unsloth/Llama-3.2-3B-Instruct", "llama", True, "<|begin_of_text|>", LLAMA3, None,
     "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "qwen2", False, BEGIN, END,
     END, f"{BEGIN}<\uff5cUser\uff5c>hi"),
    ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "llama", False, BEGIN, END,
     END, f"{BEGIN}<\uff5cUser\uff5c>hi"),
    ("deepseek-ai/deepseek-math-7b-base", "llama", False, BEGIN, END,
     END, f"{BEGIN}User: hi\n\n"),
    ("Qwen/Qwen1.5-1.8B", "qwen2", False, None, QWEN, QWEN, "<|im_start|>system\nYou are a helpful assistant.<"),
    ("Qwen/Qwen2-0.5B", "qwen2", True, None, QWEN, QWEN, "<|im_start|>system\nYou are a helpful assistant.<|im_end|>"),
    ("Qwen/Qwen2.5-3B", "qwen2", True, None, QWEN, QWEN, "<|im_start|>system\nYou are a helpful assistant.<|im_end|>"),
    ("Qwen/Qwen2.5-7B-Instruct", "qwen2", False, None, CHATML, QWEN, "<|im_start|>system\nYou are Qwen, created by"),
    ("open-r1/Qwen2.5-Math-7B-RoPE-300k", "qwen2", False, None, QWEN, QWEN, "<|im_start|>system\nPlease reason step"),
    ("Qwen/Qwen1.5-MoE-A2.7B", "qwen2_moe", False, None, QWEN, QWEN, "<|im_start|>system\n"),
    ("Qwen/Qwen3-4B", "qwen3", True, None, CHATML, QWEN, "<|im_start|>user\nhi<|im_end|>\n"),
    ("Qwen/Qwen3-8B", "qwen3", False, None, CHATML, QWEN, "<|im_start|>user\nhi<|im_end|>\n"),
    ("Qwen/Qwen3-8B-Base", "qwen3", False, None, QWEN, QWEN, "<|im_start|>user\nhi<|im_end|>\n"),
    ("Qwen/Qwen3-30B-A3B", "qwen3_moe", False, None, CHATML, QWEN, "<|im_start|>user\nhi<|im_end|>\n"),
    ("Qwen/Qwen3-30B-A3B-Base", "qwen3_moe", False, None, QWEN, QWEN, "<|im_start|>user\nhi<|im_end|>\n"),
    ("mistralai/Mistral-7B-v0.1", "mistral", False, "<s>", "</s>", None, None),
    ("mistralai/Mistral-7B-Instruct-v0.2", "mistral", False, "<s>", "</s>", None, "<s>[INST] hi [/INST]"),
    ("mistral-community/Mixtral-8x22B-v0.1", "mixtral", False, "<s>", "</s>", None, None),
    ("google/gemma-7b", "gemma", True, "<bos>", "<eos>", "<pad>", None),
    ("google/gemma-2-9b-it", "gemma2", True, "<bos>", "<eos>", "<pad>", "<bos><start_of_turn>user\nhi<end_of_turn>\n"),
    ("microsoft/Phi-3-mini-4k-instruct", "phi3", False, "<s>", QWEN, QWEN, "<|user|>\nhi<|end|>\n"),
    ("HuggingFaceTB/SmolLM-135M", "llama", True, QWEN, QWEN, None, None),
    ("HuggingFaceTB/SmolLM2-1.7B-Instruct", "llama", True, "<|im_start|>", CHATML, CHATML, "<|im_start|>system\nYou"),
    ("HuggingFaceTB/SmolLM3-3B-checkpoints", "smollm3", True, "<|begin_of_text|>", "<|end_of_text|>", CHATML, None),
    ("gpt2", "gpt2", True, QWEN, QWEN, None, None),
    ("facebook/opt-125m", "opt", True, "</s>", "</s>", "<pad>", None),
    ("HuggingFaceH4/zephyr-7b-beta", "mistral", False, "<s>", "</s>", "</s>", "<|user|>\nhi</s>\n"),
    ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "llama", False, "<s>", "</s>", "</s>", "<|user|>\nhi</s>\n"),
    ("lmsys/vicuna-7b-v1.5", "llama", False, "<s>", "</s>", "<unk>", None),
    ("allenai/OLMo-2-1124-7B", "olmo2", False, QWEN, QWEN, "<|pad|>", None),
]  # fmt: skip

OWN_KEYS: list[tuple[Family, str]] = [
    ("llamafactory", "model_name_or_path"), ("trl", "model_name_or_path"), ("trainer", "model_name_or_path"),
    ("openrlhf", "pretrain"), ("openrlhf", "model.model_name_or_path"), ("verl", "model.partial_pretrain"),
    ("verl", "model.path"), ("axolotl", "base_model"), ("ms-swift", "model"),
]  # fmt: skip

SAID = {
    "model_type": "qwen2", "hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14,
    "num_key_value_heads": 2, "intermediate_size": 4864, "max_position_embeddings": 32768, "rope_theta": 1e6,
    "rms_norm_eps": 1e-6, "vocab_size": 151936, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
    "bos_token_id": 151643, "eos_token_id": [151645, 151643], "max_window_layers": 21, "use_sliding_window": False,
}  # fmt: skip


def named(name: str | None, near: Path, family: Family = "trl", key: str = "model_name_or_path") -> model.Described:
    settings = (Setting(key, name, "sft.yaml"),) if name else ()
    return model.describe(Configuration(family, settings), near)


def at_hand(folder: Path, config: Any = SAID, **files: Any) -> model.Described:
    folder.mkdir(exist_ok=True)
    for name, content in {"config": config, **files}.items():
        (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return named(str(folder), Path())


def text(described: model.Described, *contents: str) -> str:
    """What its template writes."""
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    roles = ["user", "assistant"] * len(contents)
    messages = [{"role": role, "content": said} for role, said in zip(roles, contents, strict=False)]
    names = {f"{role}_token": described.tokenizer[role] for role in tokens.ROLES}
    return environment.from_string(described.tokenizer["chat_template"]).render(messages=messages, **names)


@pytest.mark.parametrize(("name", "kind", "tied", "bos", "eos", "pad", "start"), BY_NAME)
def test_by_its_name(
    name: str, kind: str, tied: bool, bos: str, eos: str, pad: str, start: str, tmp_path: Path
) -> None:
    found = named(name, tmp_path)
    tokenizer = found.tokenizer
    assert (found.model_type, found.config["tie_word_embeddings"], found.not_covered) == (kind, tied, ())
    assert (tokenizer["bos"], tokenizer["eos"], tokenizer["pad"]) == (bos, eos, pad)
    assert found.config["eos_token_id"] == tokens.FIRST + tokenizer["special"].index(eos)
    assert found.config["vocab_size"] % 64 == 0
    assert found.config["vocab_size"] >= tokens.FIRST + len(tokenizer["special"])
    assert found.said.endswith(f"{'tied' if tied else 'untied'}, made from a seed: by its name")
    assert (tokenizer["chat_template"] is None) == (start is None)
    assert start is None or text(found, "hi").startswith(start)


@pytest.mark.parametrize("key", families.every())
def test_every_family_is_met_by_a_name_and_has_its_words(key: str) -> None:
    family = families.every()[key]
    name = family.names[0].replace("*", "").replace("[0-9]", "7").replace("[23]", "2")
    assert families.of(name) is family
    assert families.title(family.kind) != f"a {family.kind} model"
    family.chat_template()


@pytest.mark.parametrize("marked", [False, True])
def test_a_model_without_a_template_has_one_with_marks_where_they_are_needed(marked: bool, tmp_path: Path) -> None:
    found = model.templated(named("HuggingFaceTB/SmolLM3-3B-checkpoints", tmp_path), None, marked)
    assert ("{% generation %}" in found.tokenizer["chat_template"]) is marked


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Qwen/Qwen-7B", "nobody knows the architecture of Qwen/Qwen-7B: a Llama runs instead, with ChatML"),
        ("baichuan-inc/Baichuan2-7B-Base", "nobody knows the architecture of baichuan-inc/Baichuan2-7B-Base"),
        ("llava-hf/llava-1.5-7b-hf", "llava-hf/llava-1.5-7b-hf is not of text alone"),
        ("Qwen/Qwen2-VL-7B-Instruct", "Qwen/Qwen2-VL-7B-Instruct is not of text alone"),
        ("HuggingFaceTB/SmolLM3-3B", "the day in it"),
        (None, "it names no model: a Llama runs instead"),
        ("https://someone:secret-word@hub/model", "nobody knows the architecture of https://(redacted)@hub/model"),
        ("a\0b" * 5000, "nobody knows the architecture of"),
    ],
)
def test_what_is_not_known_is_told(name: str | None, said: str, tmp_path: Path) -> None:
    assert said in " ".join(named(name, tmp_path).not_covered)


@pytest.mark.parametrize(("family", "key"), OWN_KEYS)
def test_each_framework_has_its_own_key(family: Family, key: str, tmp_path: Path) -> None:
    assert named("Qwen/Qwen3-8B", tmp_path, family, key).model_type == "qwen3"


def test_a_path_says_it_by_its_last_part_or_by_the_others(tmp_path: Path) -> None:
    assert named("/data/llama-2-7b/Qwen3-8B/", tmp_path).model_type == "qwen3"
    assert named("/hub/models--google--gemma-2-2b/snapshots/abc", tmp_path).model_type == "gemma2"


def test_a_config_at_hand_keeps_what_decides_a_step(tmp_path: Path) -> None:
    decoder = {"151643": {"content": QWEN}, "151644": {"content": "<|im_start|>"}, "151645": {"content": CHATML}}
    template = "{{ messages[0]['content'] }}"
    tokenizer = {"added_tokens_decoder": decoder, "eos_token": CHATML, "pad_token": {"content": QWEN},
                 "bos_token": None, "chat_template": template, "padding_side": "left", "model_max_length": 131072,
                 "tokenizer_class": "Qwen2Tokenizer"}  # fmt: skip
    found = at_hand(tmp_path / "mine", tokenizer_config=tokenizer)
    shrunk = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
              "intermediate_size": 256, "max_position_embeddings": 1024,
              "vocab_size": tokens.vocabulary(found.tokenizer),
              "max_window_layers": 1}  # fmt: skip
    first = tokens.FIRST
    ids = {"bos_token_id": first + 1, "eos_token_id": [first, first + 1], "pad_token_id": None}
    kept = {key: value for key, value in SAID.items() if key != "model_type"}
    assert found.config == {**kept, **shrunk, **ids}
    assert found.said == "a Qwen2 of 2 layers and 128 wide, tied, made from a seed: by its config.json"
    assert found.not_covered == ()
    assert found.tokenizer == {
        "special": [CHATML, QWEN, "<|im_start|>"], "bos": None, "eos": CHATML, "pad": QWEN, "unk": None,
        "bos_first": False, "padding_side": "left", "model_max_length": 131072, "chat_template": template,
        "published": "", "merges": tokens.MERGES, "own_template": template, "own_published": "",
    }  # fmt: skip
    assert json.loads(found.dumps())["config"] == dict(found.config)


def test_a_template_in_a_file_of_its_own_wins(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text("mine <|odd|>")
    found = at_hand(tmp_path, tokenizer_config={"eos_token": "</s>", "chat_template": "other"})
    assert found.tokenizer["chat_template"] == "mine <|odd|>"
    assert "<|odd|>" in found.tokenizer["special"]


def test_of_more_than_text_the_text_model_runs(tmp_path: Path) -> None:
    inner = {
        "model_type": "gemma3_text",
        "hidden_size": 2560,
        "layer_types": ["sliding"] * 5 + ["full"],
        "head_dim": 256,
    }
    found = at_hand(tmp_path, {"model_type": "gemma3", "text_config": inner, "vision_config": {}, "dtype": "bfloat16"})
    assert (found.model_type, found.config["torch_dtype"]) == ("gemma3_text", "bfloat16")
    assert found.config["layer_types"] == ["sliding", "full"]
    assert "its text model (gemma3_text) runs without the rest" in found.not_covered[0]


def test_a_llama_stands_in_with_the_same_tokenizer(tmp_path: Path) -> None:
    found = named("Qwen/Qwen3-4B", tmp_path)
    other = model.as_llama(found, "transformers 4.46.1 knows no qwen3")
    assert (other.model_type, other.tokenizer) == ("llama", found.tokenizer)
    same = ("vocab_size", "eos_token_id", "tie_word_embeddings", "torch_dtype")
    assert [other.config[key] for key in same] == [found.config[key] for key in same]
    assert other.not_covered[-1].startswith("transformers 4.46.1 knows no qwen3: a Llama runs instead")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is no JSON"),
        ("[1]", "it holds no keys"),
        ("{}", "has no model_type"),
        ({"model_type": "../evil\n"}, "has no model_type"),
        ({"model_type": "llama", "hidden_size": "wide"}, "hidden_size is 'wide', expected a number"),
        ({"model_type": "llama", "hidden_size": -4}, "expected a whole number of 1 or more"),
        ({"model_type": "llama", "num_attention_heads": 2, "num_key_value_heads": 4}, "more than the 2 heads"),
        ({"model_type": "llama", "more": "x" * MAX_BYTES}, "more than 512 KiB"),
        ("[" * 100_000, "is no JSON that can be read"),
        ({"model_type": "llama", "many": list(range(6000))}, "more than 5000 values"),
    ],
)
def test_a_bad_config_is_one_line(content: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=said) as raised:
        at_hand(tmp_path, content)
    assert "\n" not in str(raised.value)


def test_a_tokenizer_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    found = at_hand(tmp_path / "qwen2-7b", tokenizer_config={"x": "y" * MAX_BYTES})
    assert found.tokenizer["eos"] == QWEN
    assert "more than 512 KiB" in found.not_covered[0]


_values = st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5) | st.just([1, 2, 3])


@given(
    st.dictionaries(st.sampled_from(sorted(sizes.MOST)), st.integers(1, 2**31) | st.none(), max_size=8),
    st.dictionaries(st.text("abc", min_size=3, max_size=6), _values, max_size=5),
    st.integers(1, 8),
    st.sampled_from([1, 2, 4, 8]),
)
def test_sizes_only_shrink_and_all_else_is_kept(some: dict[str, Any], more: dict[str, Any], per: int, kv: int) -> None:
    config = {**more, **some, "num_attention_heads": per * kv, "num_key_value_heads": kv}
    found = sizes.shrunk(config, "config.json")
    assert {key: found[key] for key in more} == more
    for key, size in some.items():
        assert found[key] == (None if size is None else min(size, sizes.MOST[key]))
    heads, grouped = found["num_attention_heads"], found["num_key_value_heads"]
    assert heads <= per * kv
    assert grouped <= kv
    assert heads % grouped == 0
    assert (grouped == heads) == (per == 1 or heads == 1)
    assert sizes.shrunk(found, "config.json") == found
