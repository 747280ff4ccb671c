"""bfloat16 as bits, as Triton's interpreter has it."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from adapters.families.triton_interpreter import rounded, widened


@given(st.lists(st.floats(width=32), min_size=1, max_size=50))
def test_numbers_are_rounded_as_torch_rounds_them(numbers: list[float]) -> None:
    data = np.array(numbers, dtype=np.float32)
    expected = torch.from_numpy(data).bfloat16().float().numpy()
    np.testing.assert_array_equal(widened(rounded(data)), expected)


def test_a_single_number_stays_one() -> None:
    assert widened(rounded(np.float32(1.5))) == 1.5
