"""One evaluator for all arms: held-out sums by greedy decoding, and the loss of their solutions' tokens."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.contract import Model
from harness.oracle import forward
from scenarios import sums, text

Predict = Callable[[Sequence[Sequence[int]]], list[Tensor]]
"""Token ids of several texts to the logits behind each of their tokens: [length, vocabulary] for each text."""

ROOM = 1.25
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


def predicting(given: Mapping[str, Tensor], model: Model) -> Predict:
    """The model with these parameters, by the oracle's own forward pass in float64."""
    parameters = {name: tensor.double() for name, tensor in given.items()}

    def predict(texts: Sequence[Sequence[int]]) -> list[Tensor]:
        with torch.no_grad():
            ids, positions, first = forward.joined(texts)
            made = forward.logits(parameters, model, ids, positions, first)
        return list(torch.split(made, [len(each) for each in texts]))

    return predict


def evaluate(predict: Predict, problems: Sequence[sums.Sum]) -> Score:
    """The same problems for every model. Decoding is greedy: no number is drawn."""
    texts = [_text(problem) for problem in problems]
    given = _given(predict, texts)
    losses = [
        -logits.log_softmax(-1).gather(1, torch.tensor(one.solution)[:, None])[:, 0]
        for one, logits in zip(texts, given, strict=True)
    ]
    said = _decoded(predict, texts, given)
    right = [one.problem.solved_by(words) for one, words in zip(texts, said, strict=True)]
    return Score(statistics.mean(map(float, right)), float(torch.cat(losses).mean()))


def _text(problem: sums.Sum) -> _Text:
    rendered = text.render(problem.row, sums.WORDS)
    begin = rendered.loss_mask.index(True)
    return _Text(problem, rendered.ids[:begin], rendered.ids[begin:])


def _given(predict: Predict, texts: Sequence[_Text]) -> list[Tensor]:
    """For each solution, the logits that each of its tokens is predicted by, behind the prompt and those before it."""
    every = predict([[*one.prompt, *one.solution] for one in texts])
    return [logits[len(one.prompt) - 1 : -1] for one, logits in zip(texts, every, strict=True)]


def _decoded(predict: Predict, texts: Sequence[_Text], given: Sequence[Tensor]) -> list[Sequence[str]]:
    """The words of each response, without its EOS; none for one that does not end in time.

    As far as a model says the solution, it is given that already, so that decoding begins with the first other token.
    """
    said = [_begun(one, logits) for one, logits in zip(texts, given, strict=True)]
    while going := [at for at, ids in enumerate(said) if ids[-1] != EOS and len(ids) < _room(texts[at])]:
        chosen = predict([[*texts[at].prompt, *said[at]] for at in going])
        for at, logits in zip(going, chosen, strict=True):
            said[at].append(int(logits[-1].argmax()))
    return [[sums.WORDS[token] for token in ids[:-1]] if ids[-1] == EOS else [] for ids in said]


def _begun(one: _Text, logits: Tensor) -> list[int]:
    """What is chosen greedily up to the first token that the solution has not, or all of it."""
    chosen: list[int] = logits.argmax(-1).tolist()
    same = next((at for at, (a, b) in enumerate(zip(chosen, one.solution, strict=True)) if a != b), len(chosen) - 1)
    return chosen[: same + 1]


def _room(one: _Text) -> int:
    """Tokens that a response may have."""
    return int(ROOM * len(one.solution))
