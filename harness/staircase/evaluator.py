"""One evaluator for all arms: held-out sums by greedy decoding, and the loss of their solutions' tokens."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from adapters.contract import Model
from harness.oracle import forward
from scenarios import sums, text

Predict = Callable[[Sequence[Sequence[int]]], list[Tensor]]
"""Token ids of several texts to the logits behind each of their tokens: [length, vocabulary] for each text."""

ROOM = 1.5
"""How much longer than the solution a response may get, before it counts as no answer."""
EOS = sums.WORDS.index(text.EOS)


@dataclass(frozen=True)
class Score:
    """How good a model is."""

    accuracy: float
    """Share of problems that are answered right."""
    nll: float
    """Mean negative log-likelihood of the solutions' tokens, in nats; the EOS is one of them."""


@dataclass(frozen=True)
class _Text:
    """A problem as tokens."""

    problem: sums.Sum
    prompt: tuple[int, ...]
    solution: tuple[int, ...]


def predicting(file: Path, model: Model) -> Predict:
    """The model whose parameters are in that file, by the oracle's own forward pass."""
    parameters = {name: tensor.double() for name, tensor in load_file(file).items()}

    def predict(texts: Sequence[Sequence[int]]) -> list[Tensor]:
        with torch.no_grad():
            ids, positions, first = forward.joined(texts)
            made = forward.logits(parameters, model, ids, positions, first)
        return list(made.split([len(each) for each in texts]))

    return predict


def evaluate(predict: Predict, problems: Sequence[sums.Sum]) -> Score:
    """The same problems for every model. Decoding is greedy: no number is drawn."""
    texts = [_text(problem) for problem in problems]
    said = _decoded(predict, texts)
    right = [problem.solved_by(said[problem]) for problem in problems]
    return Score(statistics.mean(map(float, right)), _nll(predict, texts))


def _text(problem: sums.Sum) -> _Text:
    rendered = text.render(problem.row, sums.WORDS)
    begin = rendered.loss_mask.index(True)
    return _Text(problem, rendered.ids[:begin], rendered.ids[begin:])


def _nll(predict: Predict, texts: Sequence[_Text]) -> float:
    """Mean over the tokens of all solutions."""
    losses = []
    for one, logits in zip(texts, predict([[*t.prompt, *t.solution] for t in texts]), strict=True):
        before = logits[len(one.prompt) - 1 : -1].log_softmax(-1)
        losses.append(-before.gather(1, torch.tensor(one.solution)[:, None])[:, 0])
    return float(torch.cat(losses).mean())


def _decoded(predict: Predict, texts: Sequence[_Text]) -> Mapping[sums.Sum, Sequence[str]]:
    """The words of each response, without its EOS; empty for one that does not end in time."""
    going = {t.problem: list(t.prompt) for t in texts}
    room = {t.problem: len(t.prompt) + int(ROOM * len(t.solution)) for t in texts}
    begun = {t.problem: len(t.prompt) for t in texts}
    done: dict[sums.Sum, Sequence[str]] = {}
    while going:
        chosen = [int(logits[-1].argmax()) for logits in predict(list(going.values()))]
        for (problem, ids), token in zip(list(going.items()), chosen, strict=True):
            ids.append(token)
            if token == EOS:
                done[problem] = [sums.WORDS[i] for i in going.pop(problem)[begun[problem] : -1]]
            elif len(ids) >= room[problem]:
                done[problem] = []
                del going[problem]
    return done
