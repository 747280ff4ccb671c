"""The oracle's gradient of turns, truncated rows and padding on either side is that of transformers in float64."""

from __future__ import annotations

import pytest
import torch

import scenarios
from adapters.contract import IGNORED_LABEL, Job, Scenario, vary
from adapters.inside import data
from harness.intent.of_scenario import of_scenario
from harness.oracle import full_basis
from harness.oracle.basis import Segment
from harness.traces import batch
from scenarios import checkpoint, rendering, weights
from tests.harness.oracle.architectures import exact

pytest.importorskip("transformers")

TURNS = vary(scenarios.get("sft-ragged-pad-eos"), steps=1)
GPT2 = vary(TURNS, model=scenarios.get("sft-ragged-gpt2").model)
LAID_OUT = {
    "turns, padded by EOS": TURNS,
    "turns, the last answer": vary(TURNS, trained="last-answer"),
    "turns, everything": vary(TURNS, trained="everything"),
    "padded on the left": vary(TURNS, padding_side="left"),
    "padded on the left, learned positions": vary(GPT2, padding_side="left"),
    "cut off": vary(TURNS, max_length=17),
    "packed": vary(scenarios.get("sft-ragged-packed"), steps=1),
    "packed, learned positions": vary(scenarios.get("sft-ragged-packed"), steps=1, model=GPT2.model),
}


def gradient(scenario: Scenario, folder) -> dict[str, torch.Tensor]:
    """Of the mean over the trained tokens of the step, by transformers' model, from batches as the reference has."""
    checkpoint.write(scenario, folder)
    model = exact.causal_lm(scenario.model, exact.parameters(scenario.model, scenario.seed))
    tokens = data.load_rows(Job("a", "f", "1", scenario, str(folder), "t"))
    total = data.targets_in_step(scenario, tokens, 0)
    for number in range(scenario.window.accumulation):
        for rank in range(scenario.window.ranks):
            made = data.micro_batch(scenario, tokens, 0, number, rank)
            labels = made.pop("labels")[:, 1:]
            if made["attention_mask"].dim() == 4:
                made["attention_mask"] = made["attention_mask"].double()
            scores = model(**made).logits[:, :-1]
            losses = torch.nn.functional.cross_entropy(
                scores.flatten(0, 1), labels.flatten(), ignore_index=IGNORED_LABEL, reduction="sum"
            )
            (losses / total).backward()
    return {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAID_OUT)
def test_the_gradient_is_that_of_transformers(name: str, tmp_path) -> None:
    scenario = LAID_OUT[name]
    got = gradient(scenario, tmp_path)
    parameters = {n: torch.from_numpy(v) for n, v in weights.initial(scenario.model, scenario.seed).items()}
    every = batch.right_rows(scenario)
    chosen = [every[row] for row in of_scenario(scenario).rows(0) or ()]
    basis = full_basis.build(parameters, scenario.model, [Segment(row.ids) for row in chosen])
    wanted = torch.zeros(len(basis.losses), dtype=torch.float64)
    masks = [rendering.to_train(row, scenario.data.trained).loss_mask for row in chosen]
    total = sum(sum(mask[1:]) for mask in masks)
    for row, mask in zip(chosen, masks, strict=True):
        for t in range(1, len(row.ids)):
            wanted[basis.columns[row.ids[: t + 1]]] += mask[t] / total
    right = basis.gradient(wanted)
    flat = torch.cat([got[n].reshape(-1) for n in sorted(parameters)])
    assert float((flat - right).norm() / right.norm()) < 1e-10
