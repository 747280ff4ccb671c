"""The forward passes of one optimizer step: which tokens they had, and what the head makes of their hidden states."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

from lockstep_recorder import batch
from lockstep_recorder.again import NotAgain
from lockstep_recorder.batch import Tokens
from lockstep_recorder.head import Head
from lockstep_recorder.look import States, look
from lockstep_recorder.sketch import Sketch

MAX_TOKENS = 65536
"""Of a step on a rank; more are too many to keep."""


class TooMany(Exception):
    """A step has more tokens than are kept."""


class Passes:
    """What is gathered between two optimizer steps."""

    def __init__(self, keep_tokens: bool) -> None:
        self.given: list[dict[str, Any]] = []
        """Arguments of the calls that are under way, the outermost first."""
        self.number = 0
        """Passes so far."""
        self.texts: list[list[str]] = []
        """A hash of every text, by pass."""
        self.inputs: list[Tensor] = []
        """Token ids of every pass, each once."""
        self.unknown: list[str] = []
        """What could not be found out."""
        self._keep_tokens = keep_tokens
        self._waiting: list[tuple[States, Tokens, int]] = []
        self._looked: list[dict[str, Tensor]] = []
        self._size = 0

    @property
    def waits(self) -> bool:
        """Whether there are hidden states that the head was not asked about."""
        return bool(self._waiting)

    def take(self, ends: tuple[int, ...], rows: int, states: States) -> None:
        """States of all tokens of a pass that is under way, [tokens, width] each. Raises TooMany.

        ends: ids of the tokens that end a text. rows: of the head.
        """
        told = [given for given in self.given if batch.has_ids(given)]
        # The outermost call is the one that tells: what it hands on may lack the labels. But it may pack or pad.
        given = next((one for one in told if one["input_ids"].numel() == len(states.hidden)), None)
        if not told:
            self.unknown.append("the model was given no token ids")
        elif given is None or (tokens := batch.tokens(given, ends, rows)) is None:
            self.unknown.append("the hidden states are not those of the token ids, one for each")
        elif not len(tokens.target):  # a text of one token
            self.texts.append([])
        else:
            self._size += len(tokens.target)
            if self._size > MAX_TOKENS:
                raise TooMany(f"a step has more than {MAX_TOKENS} tokens on one rank")
            self.texts.append(_hashes(tokens))
            self.inputs.append(torch.unique(given["input_ids"]).cpu())
            self._waiting.append((states.at(tokens.place), tokens, self.number))
        self.number += 1

    def skip(self, why: str) -> None:
        """A pass of which nothing can be told."""
        self.unknown.append(why)
        self.number += 1

    def look(self, head: Head, by: Sketch) -> None:
        """Ask the head, which is whole now, about all that waits."""
        for states, tokens, number in self._waiting:
            try:
                passed = look(head, by, states, tokens.target)
            except NotAgain as error:
                self.unknown.append(str(error))
                continue
            one = {
                "delta": passed.delta,
                "hidden": passed.hidden,
                "loss": passed.loss,
                "length": passed.length,
                "kind": tokens.kind.cpu(),
                "text": tokens.sequence.cpu(),
                "position": tokens.position.cpu(),
                "pass": torch.full_like(tokens.sequence, number).cpu(),
            }
            self._looked.append(one | ({"target": tokens.target.cpu()} if self._keep_tokens else {}))
        self._waiting = []

    def tensors(self) -> dict[str, Tensor]:
        """Of all tokens that the head was asked about, [n] or [n, ...] each."""
        if not self._looked:
            return {}
        return {f"token/{name}": torch.cat([one[name] for one in self._looked]) for name in self._looked[0]}


def _hashes(tokens: Tokens) -> list[str]:
    """Sixteen hex digits of each text's tokens but the first, in their order, whatever comes behind it in the batch."""
    target, number = tokens.target.cpu(), tokens.sequence.cpu()
    own = (tokens.kind.cpu() & (batch.PADDING | batch.CROSSING)) == 0
    texts = [target[(number == i) & own].numpy().tobytes() for i in torch.unique(number).tolist()]
    return [hashlib.sha256(text).hexdigest()[:16] for text in texts]
