"""The rows of a scenario, and how they are written."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

from adapters.contract.checking import require

RowFormat = Literal["conversation", "prompt-completion"]
Order = Literal["given", "shuffled", "by-length"]
Mixing = Literal["concatenated", "in-turn-until-first", "in-turn-until-last", "in-turn-once"]
Trained = Literal["responses", "last-answer", "everything"]

MOST_EPOCHS = 2**20


@dataclass(frozen=True)
class Message:
    role: Literal["user", "assistant"]
    content: str


Row = tuple[Message, ...]


@dataclass(frozen=True)
class Data:
    """What is trained on."""

    rows: tuple[Row, ...]
    """Conversations, those of an epoch; `Scenario.rows_per_step` of them make one global batch."""
    row_format: RowFormat = "conversation"
    """How a framework's dataset is written: a list of messages, or the last answer apart from what is before it."""
    rows_per_sequence: int = 1
    """More than 1 packs that many rows into one sequence, attention and positions apart for each."""
    parts: tuple[int, ...] = ()
    """How many rows each of several datasets has, of which `rows` are put together, one behind the other; a framework
    gets a file for each. None: they are one dataset."""
    mixing: Mixing = "concatenated"
    """How several datasets are put together: one behind the other, or a row of each in turn, until the first of them
    ends, or until the last ends, those that end before it being begun again, or each row once."""
    packed_length: int | None = None
    """Rows are packed into sequences of at most so many tokens, whole, attention and positions apart for each. Which
    rows share a sequence, and which sequences a step, the framework chooses: it is read from the trace. A step then
    takes so many sequences as its window says."""
    epochs: int = 1
    """How often training goes through the rows; `window.steps` may end it before that."""
    order: Order = "given"
    """In which order: each epoch in that of `rows`, or in one that the framework draws by its own seed, another one in
    each epoch, `by-length` so that rows of about one length come together. Which it was is read from the trace then."""
    trained: Trained = "responses"
    """Which tokens are trained: those of all responses, of the last one of each row, or all but the first of a row,
    which nothing predicts. Of prompts and completions, the completion alone is a response."""
    max_length: int | None = None
    """Tokens of a row beyond so many are cut off at its end; a row may then have nothing to train."""

    @property
    def packs(self) -> bool:
        """Whether rows share sequences."""
        return self.rows_per_sequence > 1 or self.packed_length is not None

    @property
    def datasets(self) -> tuple[range, ...]:
        """The rows of each dataset."""
        ends = tuple(itertools.accumulate(self.parts)) or (len(self.rows),)
        return tuple(map(range, (0, *ends[:-1]), ends))

    @property
    def mixed(self) -> tuple[int, ...]:
        """The rows of an epoch, in their order."""
        parts, sizes = self.datasets, list(map(len, self.datasets))
        if self.mixing == "concatenated":
            return tuple(range(len(self.rows)))
        rounds = range(min(sizes) if self.mixing == "in-turn-until-first" else max(sizes))
        once = self.mixing == "in-turn-once"
        return tuple(part[at % len(part)] for at in rounds for part in parts if at < len(part) or not once)

    def check(self) -> None:
        """Raises ValueError, in one line."""
        require(all(self.rows), "data.rows", "without messages somewhere", "one conversation each")
        most = all(1 <= part <= len(self.rows) for part in self.parts)
        together = not self.parts or (most and sum(self.parts) == len(self.rows))
        require(together, "data.parts", list(self.parts), f"at least 1 each, and {len(self.rows)} rows together")
        require(1 <= self.epochs <= MOST_EPOCHS, "data.epochs", self.epochs, f"1 to {MOST_EPOCHS}")
        require(self.rows_per_sequence >= 1, "data.rows_per_sequence", self.rows_per_sequence, "at least 1")
        mixing, several = self.mixing, len(self.parts) > 1
        require(mixing == "concatenated" or several, "data.mixing", mixing, "concatenated with one dataset")
        told = mixing == "concatenated" or (self.order == "given" and not self.packs)
        require(told, "data.mixing", mixing, "concatenated but in the given order, a row a sequence")
        room = self.packed_length
        require(room is None or room >= 2, "data.packed_length", room, "at least 2")
        alone = room is None or (self.rows_per_sequence == 1 and self.max_length is None)
        others = "beside data.rows_per_sequence or data.max_length"
        require(alone, "data.packed_length", others, "the one that says what a sequence holds")
        grouped = self.order == "by-length"
        require(not (grouped and self.packs), "data.order", "by-length", "another one where rows share sequences")
        limit = self.max_length
        require(limit is None or limit >= 2, "data.max_length", limit, "at least 2")
