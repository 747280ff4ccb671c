"""The engine with a cache says what the trainer says, and tokens are drawn by the log-probabilities that are told."""

from __future__ import annotations

import pytest
import torch

from harness.policy import decoding, task
from harness.policy.training import MODEL, logprobs_of
from harness.trial.model import Decoder

POLICY = Decoder(MODEL, 3).double()


def prompts(count: int) -> torch.Tensor:
    return task.prompts(count, torch.Generator().manual_seed(1))


def test_the_engine_and_the_trainer_agree() -> None:
    found = decoding.sample(POLICY, prompts(20), task.LENGTH, lambda logits, _: logits, torch.Generator())
    assert found.ids.shape == (20, 2 * task.LENGTH + 1)
    torch.testing.assert_close(logprobs_of(POLICY, found.ids), found.logprobs, rtol=0, atol=1e-13)


def test_told_is_what_the_changed_distribution_has() -> None:
    """Everything but one token, another one at each place, is made impossible: it is drawn, for certain."""

    def changed(logits: torch.Tensor, place: int) -> torch.Tensor:
        only = torch.full_like(logits, -torch.inf)
        only[:, place] = logits[:, place]
        return only

    found = decoding.sample(POLICY, prompts(5), 4, changed, torch.Generator())
    assert found.ids[:, -4:].tolist() == [[0, 1, 2, 3]] * 5
    assert found.logprobs.tolist() == [[0.0] * 4] * 5


def test_tokens_are_as_frequent_as_they_are_probable() -> None:
    """20,000 draws of one token: no frequency is off by more than 5 standard deviations."""
    count = 20_000
    asked = prompts(1).expand(count, -1)
    found = decoding.sample(POLICY, asked, 1, lambda logits, _: 2 * logits, torch.Generator().manual_seed(5))
    chances = (2 * POLICY.logits(asked[:1])[0, -1]).softmax(-1).detach()
    shares = torch.bincount(found.ids[:, -1], minlength=MODEL.vocabulary) / count
    assert ((shares - chances).abs() <= 5 * (chances * (1 - chances) / count).sqrt()).all()
    assert found.logprobs[:, 0].exp().tolist() == pytest.approx(chances[found.ids[:, -1]].tolist())
