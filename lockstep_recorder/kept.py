"""What is kept of one optimizer step: the tokens of its passes, and the optimizer's state before and after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lockstep_recorder import about, exchange, samples
from lockstep_recorder.asked import Asked, Unasked
from lockstep_recorder.passes import Passes
from lockstep_recorder.recording import Recording
from lockstep_recorder.sketch import Sketch
from lockstep_recorder.state import GRADIENT, Piece, decays_by_gradient, dtypes, inner

SKETCHED = frozenset({("before", "exp_avg"), ("before", GRADIENT), ("after", "exp_avg"), ("after", "param")})
"""Of the matrix that is asked: what tells the gradient that the optimizer consumed, and whether ranks are alike."""


class Kept:
    """Of one step, on this rank."""

    def __init__(self, keep_tokens: bool) -> None:
        self.passes = Passes(keep_tokens)
        self.said: dict[str, Any] = {}
        self._tensors: dict[str, Tensor] = {}
        self._sketch: Sketch | None = None

    def sketch(self, asked: Asked) -> Sketch:
        """The map of the gradient in this step. Raises Unasked."""
        if self._sketch is None:
            self._sketch = asked.sketch()
        return self._sketch

    def leave_out_inputs(self, asked: Asked, recording: Recording, number: int) -> None:
        """Rows of tokens that are in an input of any rank tell nothing of a tied head."""
        if recording.alone:
            self.passes.unknown.append(recording.alone)
            return
        ids = torch.cat([torch.zeros(0, dtype=torch.int64), *self.passes.inputs])
        try:
            every = exchange.united(recording.folder, number, recording.rank, about.world(), ids)
        except exchange.Alone as error:
            recording.alone = str(error)
            self.passes.unknown.append(recording.alone)
            return
        by = self.sketch(asked)
        every = every[(every >= 0) & (every < len(by.rows.place))]
        self._sketch = Sketch(by.rows.without(every.to(by.rows.place.device)), by.columns)
        if not bool(self._sketch.rows.sign.any()):
            self.passes.unknown.append("the embeddings are tied, and every token of the vocabulary is in an input")

    def before(self, asked: Asked, optimizer: Any, stepped: Mapping[int, float]) -> None:
        """The state before the step. stepped: squares of the gradients that other optimizers have consumed, by the
        parameter's id."""
        self.said |= {"groups": samples.groups(optimizer), "count": samples.count(optimizer)}
        parameters = samples.trained(asked.found.model)
        every = samples.pieces(parameters, optimizer)
        told, whole = samples.given_squares(parameters, every, stepped)
        self._tensors["before/sample/grad_squares"] = told
        self.said["all_squares"] = whole
        if decays_by_gradient(optimizer):
            self.passes.unknown.append("its weight decay goes into Adam's first moment, together with the gradient")
        self._samples("before", every)
        self._asked("before", asked, optimizer)

    def after(self, asked: Asked, optimizer: Any) -> None:
        """The state after it."""
        self._samples("after", samples.pieces(samples.trained(asked.found.model), optimizer))
        held = self._asked("after", asked, optimizer)
        if held is not None and held.values and not {"exp_avg", GRADIENT} & set(held.values):
            name = type(inner(optimizer)).__name__
            self.passes.unknown.append(f"{name} keeps no mean of its gradients, and the engine has none for it")

    def _samples(self, when: str, every: list[Piece | None]) -> None:
        self.said |= {what: names for what, names in dtypes(every).items() if names}
        self._tensors |= {f"{when}/sample/{kind}": values for kind, values in samples.sample(every).items()}

    def _asked(self, when: str, asked: Asked, optimizer: Any) -> Piece | None:
        try:
            held, by, width = asked.held(optimizer), self.sketch(asked), asked.shape[1]
        except Unasked as error:
            self.passes.unknown.append(str(error))
            return None
        self.said["layout"] = "whole" if held.whole else "part"
        for kind, values in held.values.items():
            if (when, kind) in SKETCHED:
                self._tensors[f"{when}/matrix/{kind}"] = by.of_flat(values, held.start, width)
        return held

    def write(self, asked: Asked, recording: Recording, number: int, seconds: float) -> None:
        """All of it into the recording. seconds: that watching has taken."""
        tensors = {**self._tensors, **self.passes.tensors()}
        try:
            self.said["asked"] = asked.name()
            if "token/delta" in tensors:
                tensors["token/delta"] = tensors["token/delta"] * asked.factor()
        except Unasked as error:
            self.passes.unknown.append(str(error))
        said = {
            **self.said,
            "shapes": {name: list(tensor.shape) for name, tensor in sorted(tensors.items())},
            "passes": self.passes.number,
            "texts": self.passes.texts,
            "unknown": sorted(set(self.passes.unknown)),
            "seconds": round(seconds, 6),
        }
        recording.step(number, said, tensors)
