"""Which hidden state predicts which token, in every form that batches have."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from lockstep_recorder import batch
from lockstep_recorder.batch import CROSSING, EOS, PADDING, TOLD, TRAINED, Tokens

END = 2


def tokens(**given: Any) -> Tokens:
    found = batch.tokens({k: torch.tensor(v) for k, v in given.items()}, (END,), 100)
    assert found is not None
    return found


def kinds(found: Tokens, bit: int) -> list[int]:
    return [int(target) for target, kind in zip(found.target, found.kind, strict=True) if int(kind) & bit]


def test_a_row_and_its_labels() -> None:
    found = tokens(input_ids=[[5, 6, 7, END]], labels=[[-100, -100, 7, END]])
    assert found.target.tolist() == [6, 7, END]
    assert found.place.tolist() == [0, 1, 2]
    assert found.position.tolist() == [1, 2, 3]
    assert kinds(found, TRAINED) == [7, END]
    assert kinds(found, EOS) == [END]
    assert kinds(found, TOLD) == [6, 7, END]


def test_without_labels_nothing_is_told() -> None:
    assert kinds(tokens(input_ids=[[5, 6, 7]]), TOLD | TRAINED) == []


def test_padding_behind_keeps_its_first_token() -> None:
    found = tokens(input_ids=[[5, 6, 7, 0, 0], [5, 6, 7, 8, 9]], attention_mask=[[1, 1, 1, 0, 0], [1] * 5])
    assert found.target.tolist() == [6, 7, 0, 6, 7, 8, 9]
    assert kinds(found, PADDING) == [0]
    assert found.sequence.tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_padding_in_front_is_no_token() -> None:
    found = tokens(input_ids=[[0, 0, 5, 6, 7]], attention_mask=[[0, 0, 1, 1, 1]])
    assert found.target.tolist() == [6, 7]
    assert found.place.tolist() == [2, 3]
    assert found.position.tolist() == [1, 2]


@pytest.mark.parametrize(
    "more", [{"position_ids": [[0, 1, 2, 0, 1]]}, {"cu_seq_lens_q": [0, 3, 5]}], ids=["positions", "lengths"]
)
def test_packed_texts_are_apart(more: dict[str, Any]) -> None:
    found = tokens(input_ids=[[5, 6, 7, 8, 9]], **more)
    assert found.sequence.tolist() == [0, 0, 0, 1]
    assert found.position.tolist() == [1, 2, 3, 1]
    assert kinds(found, CROSSING) == [8]


def test_shifted_labels() -> None:
    found = tokens(input_ids=[[5, 6, 7]], shift_labels=[[-100, 7, -100]])
    assert kinds(found, TRAINED) == [7]


@pytest.mark.parametrize("keep", [3, torch.tensor([2, 3, 4]), torch.tensor([False, False, True, True, True])])
def test_labels_of_the_logits_that_are_kept(keep: Any) -> None:
    """As ms-swift calls a model: a label stands at the logit behind the one that predicts it."""
    given = {"input_ids": torch.tensor([[5, 6, 7, 8, END]]), "labels": torch.tensor([[-100, 8, END]])}
    found = batch.tokens({**given, "logits_to_keep": keep}, (END,), 100)
    assert found is not None
    assert kinds(found, TRAINED) == [8, END]
    assert kinds(found, TOLD) == [6, 7, 8, END]


@pytest.mark.parametrize("keep", [None, 2, 4, torch.tensor([1, 2]), torch.ones(3, dtype=torch.bool), "all"])
def test_labels_that_fit_no_logits_tell_nothing(keep: Any) -> None:
    given = {"input_ids": torch.tensor([[5, 6, 7, 8, END]]), "labels": torch.tensor([[-100, 8, END]])}
    found = batch.tokens({**given, "logits_to_keep": keep}, (END,), 100)
    assert found is not None
    assert kinds(found, TOLD) == []


def test_a_call_without_token_ids() -> None:
    assert batch.tokens({"inputs_embeds": torch.zeros(1, 2, 3)}, (), 100) is None


def test_arguments_by_name() -> None:
    class Model(nn.Module):
        def forward(self, input_ids: Any, labels: Any = None, **kwargs: Any) -> None: ...

    assert batch.received(Model(), (1,), {"labels": 2, "more": 3}) == {"input_ids": 1, "labels": 2, "more": 3}
