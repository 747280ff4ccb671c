"""What is found of a model that is watched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lockstep_recorder import model
from tests.harness.recordings import loops


@pytest.mark.parametrize(
    ("own", "of_generation", "ends"),
    [(2, None, (2,)), (2, [2, 3], (2, 3)), ([4, 2], 3, (4, 2, 3)), (None, 3, (3,)), (None, None, ())],
)
def test_what_ends_a_text_by_the_model_and_by_its_generation(
    own: Any, of_generation: Any, ends: tuple[int, ...]
) -> None:
    """ms-swift puts what its template ends an answer with into the configuration of generation alone."""
    llama = loops.llama()
    llama.config.eos_token_id = own
    llama.generation_config = SimpleNamespace(eos_token_id=of_generation)
    found = model.find(llama)
    assert found is not None
    assert found.ends == ends
