"""`autocast-log-softmax` gives a CPU what torch's autocast does on CUDA, and nothing else."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from adapters.families import verl_shims

COARSE = torch.randn(3, 7, generator=torch.Generator().manual_seed(0)).bfloat16()


@pytest.fixture
def shimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(F, "log_softmax", F.log_softmax)  # so that it is put back
    verl_shims.autocast_log_softmax_as_on_cuda()
    return


def test_torch_does_not_do_so_on_a_cpu() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert F.log_softmax(COARSE, dim=-1).dtype == torch.bfloat16


@pytest.mark.usefixtures("shimmed")
def test_under_autocast_it_is_that_of_the_values_in_float32() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        got = F.log_softmax(COARSE, dim=-1)
    assert got.dtype == torch.float32
    assert torch.equal(got, torch.log_softmax(COARSE.float(), dim=-1))


@pytest.mark.usefixtures("shimmed")
def test_what_a_release_computes_in_bfloat16_itself_stays_so() -> None:
    assert torch.equal(F.log_softmax(COARSE, dim=-1), torch.log_softmax(COARSE, dim=-1))
    with torch.autocast("cpu", torch.bfloat16):
        assert F.log_softmax(COARSE, dim=-1, dtype=torch.bfloat16).dtype == torch.bfloat16
