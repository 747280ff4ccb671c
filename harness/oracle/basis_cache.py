"""Bases that were used last, so that equal ones are built once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from adapters.contract import Model
from harness.intent.intent import TokenLoss
from harness.oracle import full_basis, tail_basis
from harness.oracle.basis import Basis, Segment
from harness.oracle.forward import Parameters
from harness.oracle.token_loss import NLL

Kind = Literal["tail", "full"]

BUILD: Mapping[Kind, Callable[[Parameters, Model, Sequence[Segment], TokenLoss], Basis]] = {
    "tail": tail_basis.build,
    "full": full_basis.build,
}


class BasisCache:
    """Keeps the bases used last; equal parameters and segments give the same object back.

    A full one takes parameters x tokens x 8 bytes: 80 MB on the scenarios. There, few differ before the first step.
    """

    def __init__(self, keep: int = 6) -> None:
        self._keep = keep
        self._known: OrderedDict[str, Basis] = OrderedDict()

    def get(
        self, kind: Kind, parameters: Parameters, model: Model, segments: Sequence[Segment], loss: TokenLoss = NLL
    ) -> Basis:
        key = _key(kind, parameters, model, segments, loss)
        basis = self._known.pop(key, None)
        if basis is None:
            basis = BUILD[kind](parameters, model, segments, loss)
        self._known[key] = basis
        while len(self._known) > self._keep:
            self._known.popitem(last=False)
        return basis


@dataclass(frozen=True)
class Bases:
    """Where bases of one kind come from."""

    kind: Kind
    cache: BasisCache

    def build(self, parameters: Parameters, model: Model, segments: Sequence[Segment], loss: TokenLoss = NLL) -> Basis:
        """One that nobody else will need."""
        return BUILD[self.kind](parameters, model, segments, loss)

    def get(self, parameters: Parameters, model: Model, segments: Sequence[Segment], loss: TokenLoss = NLL) -> Basis:
        """One that may be known."""
        return self.cache.get(self.kind, parameters, model, segments, loss)


def _key(kind: Kind, parameters: Parameters, model: Model, segments: Sequence[Segment], loss: TokenLoss) -> str:
    digest = hashlib.sha256(repr((kind, model, loss, [replace(s, noise=None) for s in segments])).encode())
    for name in sorted(parameters):
        digest.update(name.encode() + parameters[name].contiguous().numpy().tobytes())
    for noise in (s.noise for s in segments if s.noise is not None):
        digest.update(noise.values.contiguous().numpy().tobytes())
    return digest.hexdigest()
