"""Labels of the kept logits alone, held against what a real model makes of them."""

from __future__ import annotations

from functools import cache

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adapters.contract import IGNORED_LABEL
from adapters.inside.labels import whole_labels

VOCABULARY = 12
LONGEST = 9

FLOAT32 = 1e-5
"""Some ulps of a sum of ten losses; a token more or less is a tenth of it."""


@cache
def model() -> transformers.LlamaForCausalLM:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=LONGEST,
    )
    return transformers.LlamaForCausalLM(config).eval()


def loss(ids: Tensor, labels: Tensor, keep: int | Tensor = 0) -> float:
    """The sum over trained tokens that a Hugging Face model makes of these arguments."""
    with torch.no_grad():
        return float(model()(input_ids=ids, labels=labels, logits_to_keep=keep, num_items_in_batch=1).loss)


@st.composite
def batches(draw: st.DrawFn, rows: int) -> tuple[Tensor, Tensor]:
    """Token ids and whole labels, [rows, length], of which at least one behind the first is trained."""
    length = draw(st.integers(2, LONGEST))
    tokens = st.lists(st.integers(0, VOCABULARY - 1), min_size=length, max_size=length)
    ids = torch.tensor(draw(st.lists(tokens, min_size=rows, max_size=rows)))
    marks = st.lists(st.booleans(), min_size=length - 1, max_size=length - 1)
    trained = torch.tensor([[False, *row] for row in draw(st.lists(marks, min_size=rows, max_size=rows))])
    trained[0, draw(st.integers(1, length - 1))] = True
    return ids, torch.where(trained, ids, IGNORED_LABEL)


def kept_logits(labels: Tensor) -> Tensor:
    """[length], for one row: the positions that predict a trained token, and the last, as ms-swift keeps them
    (prepare_logits_to_keep in trainers/mixin.py of 4.6.0).
    """
    return torch.cat([labels[0, 1:] != IGNORED_LABEL, torch.tensor([True])])


def of_the_kept(labels: Tensor) -> Tensor:
    """[1, kept]: the labels that go with `kept_logits`, behind one that is never used."""
    return torch.nn.functional.pad(labels[:, labels[0] != IGNORED_LABEL], (1, 0), value=IGNORED_LABEL)


@settings(deadline=None)
@given(batches(rows=1), st.booleans())
def test_kept_by_a_mask_or_by_indices(batch: tuple[Tensor, Tensor], indices: bool) -> None:
    ids, labels = batch
    mask = kept_logits(labels)
    keep = mask.nonzero()[:, 0] if indices else mask
    short = of_the_kept(labels)
    assert loss(ids, short, keep) == pytest.approx(loss(ids, labels), rel=FLOAT32)
    assert whole_labels(short, keep, ids).tolist() == labels.tolist()


@settings(deadline=None)
@given(batches(rows=3), st.integers(1, LONGEST + 3))
def test_so_many_at_the_end_of_every_row(batch: tuple[Tensor, Tensor], keep: int) -> None:
    """Whether rows are padded on the left or on the right."""
    ids, labels = batch
    short = labels[:, -keep:]
    whole = whole_labels(short, keep, ids)
    assert loss(ids, whole) == pytest.approx(loss(ids, short, keep), rel=FLOAT32)
    lost = max(ids.shape[1] - keep + 1, 0)  # the tokens that no logit predicts
    assert whole[:, lost:].tolist() == labels[:, lost:].tolist()
    assert (whole[:, :lost] == IGNORED_LABEL).all()


@settings(deadline=None)
@given(batches(rows=2))
def test_whole_labels_stay_as_they_are(batch: tuple[Tensor, Tensor]) -> None:
    ids, labels = batch
    assert whole_labels(labels, 0, ids) is labels


IDS = torch.zeros(2, 6, dtype=torch.long)


@pytest.mark.parametrize(
    ("columns", "keep", "said"),
    [
        (4, 0, "0"),
        (4, 3, "3"),
        (7, 0, "0"),
        (3, torch.ones(5, dtype=torch.bool), r"a tensor of shape \[5\]"),
        (3, torch.tensor([0, 5, 6]), r"a tensor of shape \[3\]"),
        (3, torch.tensor([0, 5, 1]), r"a tensor of shape \[3\]"),
        (3, torch.ones(2, 6, dtype=torch.bool), r"a tensor of shape \[2, 6\]"),
    ],
    ids=["without logits_to_keep", "fewer logits", "longer", "another length", "beyond", "none behind", "by row"],
)
def test_what_does_not_fit_is_refused_with_shapes_and_names(columns: int, keep: int | Tensor, said: str) -> None:
    labels = torch.zeros(2, columns, dtype=torch.long)
    refused = rf"labels of shape \[2, {columns}\] do not fit input_ids of shape \[2, 6\] with logits_to_keep={said}$"
    with pytest.raises(ValueError, match=refused):
        whole_labels(labels, keep, IDS)
