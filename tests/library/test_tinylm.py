"""The library's own tests. Two lines of each hold the training to what its tokens should weigh."""

import pytest
import tinylm
import torch


@pytest.fixture
def model():
    torch.manual_seed(0)
    return tinylm.LanguageModel()


@pytest.fixture
def optimizer(model):
    return torch.optim.AdamW(model.parameters(), lr=1e-3)


def test_finetuning_is_right(lockstep, model, optimizer):
    with lockstep.watch(model, optimizer) as run:
        tinylm.finetune(model, optimizer, tinylm.conversations(3))
    run.assert_right()
    run.assert_weights("token")


def test_averages_of_micro_batches_are_averaged(lockstep, model, optimizer):
    with lockstep.watch(model, optimizer) as run:
        tinylm.finetune(model, optimizer, tinylm.conversations(3), average="micro-batches")
    run.assert_weights("token")


def test_a_micro_batch_is_dropped(lockstep, model, optimizer):
    with lockstep.watch(model, optimizer) as run:
        tinylm.finetune(model, optimizer, tinylm.conversations(3), forget_first=True)
    run.assert_right()


def test_accumulation_multiplies_the_gradient(lockstep, model, optimizer):
    with lockstep.watch(model, optimizer) as run:
        tinylm.finetune(model, optimizer, tinylm.conversations(3), divide=False)
    run.assert_right()


def test_nothing_is_trained(lockstep, model, optimizer):
    with lockstep.watch(model, optimizer) as run:
        pass
    run.assert_right()
