"""The checkpoint of a small run, written and loaded by what real environments have installed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.environments import build
from harness.environments.request import parse
from harness.validation.read.configuration import Configuration, Setting
from harness.validation.small import families, model, tokens

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[3]
NEWEST, OLD = "trl==1.16.0", "llamafactory==0.9.1"
OLD_KNOWS_NO = {"olmo2", "qwen3", "qwen3_moe", "smollm3"}
BIASES = {"qwen2": {"q_proj", "k_proj", "v_proj"}, "opt": {"q_proj", "k_proj", "v_proj", "out_proj"}}

DEEPSEEK = {
    "model_type": "deepseek_v3", "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128,
    "num_key_value_heads": 128, "intermediate_size": 18432, "moe_intermediate_size": 2048, "n_routed_experts": 256,
    "n_shared_experts": 1, "num_experts_per_tok": 8, "n_group": 8, "topk_group": 4, "first_k_dense_replace": 3,
    "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
    "max_position_embeddings": 163840, "tie_word_embeddings": False,
    "rope_scaling": {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096},
}  # fmt: skip
LONG = {
    "model_type": "phi3", "hidden_size": 3072, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 32, "intermediate_size": 8192, "max_position_embeddings": 131072,
    "original_max_position_embeddings": 4096, "pad_token_id": 32000, "tie_word_embeddings": False,
    "rope_scaling": {"type": "longrope", "short_factor": [1.0] * 48, "long_factor": [2.0] * 48},
}  # fmt: skip
GIVEN = {"given-deepseek": DEEPSEEK, "given-long": LONG, "given-odd": {"model_type": "chatglm", "hidden_size": 4096}}


def name(family: families.Family) -> str:
    return family.names[0].replace("*", "").replace("[0-9]", "7").replace("[23]", "2")


def described(called: str) -> model.Described:
    return model.describe(Configuration("trl", (Setting("model_name_or_path", called, "sft.yaml"),)), Path())


@pytest.fixture(scope="module")
def descriptions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, model.Described]:
    """One of each family, and of some that are at hand."""
    folder = tmp_path_factory.mktemp("at-hand")
    for key, config in GIVEN.items():
        (folder / key).mkdir()
        (folder / key / "config.json").write_text(json.dumps(config))
    by_name = {key: described(name(family)) for key, family in families.every().items()}
    return by_name | {key: described(str(folder / key)) for key in GIVEN}


def run(python: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "DS_ACCELERATOR": "cpu"}
    command = [str(python), *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=600)


def met(
    request: str, environments: Path, descriptions: dict[str, model.Described], folder: Path
) -> dict[str, dict[str, Any]]:
    python = build.ensure(parse(request), environments, print).python
    (folder / "in").mkdir()
    for key, each in descriptions.items():
        (folder / "in" / f"{key}.json").write_text(each.dumps())
    done = run(python, folder, str(Path(__file__).with_name("written.py")), "in", ".")
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, Any]] = json.loads((folder / "met.json").read_text())
    return found


def check(each: model.Described, found: dict[str, Any]) -> None:
    """What was loaded is what is described."""
    special, roles = each.tokenizer["special"], ("bos", "eos", "pad")
    assert found["specials"] == {token: [tokens.FIRST + at] for at, token in enumerate(special)}
    assert found["ids"] == {
        r: each.tokenizer[r] and tokens.FIRST + special.index(each.tokenizer[r]) for r in (*roles, "unk")
    }
    assert found["config"] == {role: each.config[f"{role}_token_id"] for role in roles}
    assert (found["first"] == found["ids"]["bos"]) == each.tokenizer["bos_first"]
    assert found["side"] == each.tokenizer["padding_side"]
    assert found["same"]
    assert found["rows"]
    assert found["tied"] == each.config["tie_word_embeddings"]
    assert found["dtype"] == f"torch.{each.config['torch_dtype']}"
    assert 5 < found["loss"] < 10, "not far above the logarithm of the vocabulary, 6.4"
    assert found["still"] == [], "every parameter has a gradient"
    assert set(found["biases"]) >= BIASES.get(each.model_type, set())
    assert found["parameters"] < 1_500_000


@pytest.mark.parametrize("request_", [NEWEST, pytest.param(OLD, marks=pytest.mark.exhaustive)])
def test_each_family_is_written_and_loaded(
    request_: str, environments: Path, descriptions: dict[str, model.Described], tmp_path: Path
) -> None:
    found = met(request_, environments, descriptions, tmp_path)
    unknown = {descriptions[key].model_type for key, each in found.items() if "unknown" in each}
    assert unknown == {"chatglm"} | (OLD_KNOWS_NO | {"deepseek_v3"} if request_ == OLD else set())
    for key, each in found.items():
        if "unknown" not in each:
            check(descriptions[key], each)
    own = {key: each["own"] for key, each in found.items() if each.get("own")}
    assert own == {key: found[key]["ours"] for key in own}, "TRL's copy of what is published writes the same"
    assert len(own) > 15


def test_what_is_not_known_here_is_one_line(environments: Path, tmp_path: Path) -> None:
    python = build.ensure(parse(OLD), environments, print).python
    here = described("Qwen/Qwen3-8B")
    (tmp_path / "qwen3.json").write_text(here.dumps())
    done = run(python, tmp_path, "-m", "adapters.given.checkpoint", "qwen3.json", "out")
    assert (done.returncode, done.stdout, (tmp_path / "out").exists()) == (3, "", False)
    said = done.stderr.strip().splitlines()[-1]
    assert said.endswith("knows no qwen3")
    (tmp_path / "llama.json").write_text(model.as_llama(here, said).dumps())
    done = run(python, tmp_path, "-m", "adapters.given.checkpoint", "llama.json", "out")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "config.json").read_text())["model_type"] == "llama"
