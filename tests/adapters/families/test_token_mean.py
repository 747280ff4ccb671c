"""The loss of a token that the model does not compute has no router's loss in it."""

from __future__ import annotations

from typing import Any

import pytest

import scenarios
from adapters.contract import vary
from adapters.families import pytorch_loop, token_mean


@pytest.mark.parametrize(
    ("fields", "left_out"),
    [({}, False), ({"label_smoothing": 0.1}, True), ({"token_weight": "probability"}, True)],
)
def test_the_routers_loss_is_left_out_with_a_loss_of_ours(fields: dict[str, Any], left_out: bool) -> None:
    routed = vary(scenarios.get("sft-ragged-moe-aux"), **fields)
    assert token_mean.leaves_router_out(routed) == left_out
    assert (token_mean.ROUTER_LEFT_OUT in (pytorch_loop.unsupported(routed, "2") or "")) == left_out
    assert not token_mean.leaves_router_out(vary(scenarios.get("sft-ragged"), **fields))


def test_tokens_are_not_weighed_where_there_are_no_logits() -> None:
    fused = vary(scenarios.get("sft-ragged-dft"), implementation="linear-cross-entropy")
    assert "hands out no logits" in (pytorch_loop.unsupported(fused, "2") or "")
