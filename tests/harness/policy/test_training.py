"""One training: it follows from its seed, an exact sampler has no mismatch, and what is rewarded is learned."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from harness.policy import task
from harness.policy.corrections import CORRECTIONS, NONE
from harness.policy.mismatches import EXACT, Mismatch
from harness.policy.training import GROUP, Run, Size, advantages, train

SHORT = Size(warm=3, steps=4, prompts=2, judged=16)
NOISE = Mismatch("noise", "2")


@pytest.fixture(autouse=True)
def on_one_core() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_the_same_again_is_the_same_to_the_bit() -> None:
    one, other = (train(Run(NOISE, "token TIS", 1, SHORT)).model_copy(update={"seconds": 0.0}) for _ in range(2))
    assert one == other


def test_corrections_of_exact_rollouts_change_next_to_nothing() -> None:
    found = {name: train(Run(EXACT, name, 0, SHORT)) for name in CORRECTIONS}
    for one in found.values():
        assert one.rewards == found[NONE].rewards
        assert all(abs(value) < 1e-12 for values in one.measures.values() for value in values)


def test_arms_of_a_seed_begin_alike() -> None:
    found = [train(Run(mismatch, NONE, 2, SHORT)) for mismatch in (EXACT, NOISE)]
    assert found[0].begun_with == found[1].begun_with
    assert found[1].measures["k3_kl"][0] > 0.01
    assert len(found[0].rewards) == SHORT.steps


def test_an_advantage_is_what_a_response_has_beyond_its_group() -> None:
    rewards = torch.tensor([1.0] + [0.0] * (GROUP - 1) + [0.5] * GROUP)
    assert advantages(rewards).tolist() == pytest.approx([1 - 1 / GROUP] + [-1 / GROUP] * (GROUP - 1) + [0.0] * GROUP)


def test_a_reward_is_the_share_of_places_that_are_right() -> None:
    asked = torch.tensor([[3, 1, 4, 1, 5, task.SAY]] * 3)
    said = torch.tensor([[1, 1, 3, 4, 5], [1, 1, 3, 5, 4], [7, 7, 7, 7, 7]])
    assert task.rewards(torch.cat([asked, said], 1)).tolist() == pytest.approx([1.0, 0.6, 0.0])
    assert task.rewards(torch.cat([asked, task.answers(asked)], 1)).tolist() == [1.0] * 3


@pytest.mark.slow
def test_what_is_rewarded_is_learned() -> None:
    found = train(Run(EXACT, NONE, 0, Size(warm=20, steps=60, prompts=8, judged=256)))
    assert found.final > found.begun_with + 0.1
