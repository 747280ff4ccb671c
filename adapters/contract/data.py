"""The rows of a scenario, and how they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adapters.contract.checking import require

RowFormat = Literal["conversation", "prompt-completion"]
Order = Literal["given", "shuffled"]
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
    packed_length: int | None = None
    """Rows are packed into sequences of at most so many tokens, whole, attention and positions apart for each. Which
    rows share a sequence, and which sequences a step, the framework chooses: it is read from the trace. A step then
    takes so many sequences as its window says."""
    epochs: int = 1
    """How often training goes through the rows; `window.steps` may end it before that."""
    order: Order = "given"
    """In which order: each epoch in that of `rows`, or in one that the framework draws by its own seed, another one in
    each epoch. Which it was is read from the trace then."""
    trained: Trained = "responses"
    """Which tokens are trained: those of all responses, of the last one of each row, or all but the first of a row,
    which nothing predicts. Of prompts and completions, the completion alone is a response."""
    max_length: int | None = None
    """Tokens of a row beyond so many are cut off at its end; a row may then have nothing to train."""

    @property
    def packs(self) -> bool:
        """Whether rows share sequences."""
        return self.rows_per_sequence > 1 or self.packed_length is not None

    def check(self) -> None:
        """Raises ValueError, in one line."""
        require(all(self.rows), "data.rows", "without messages somewhere", "one conversation each")
        require(1 <= self.epochs <= MOST_EPOCHS, "data.epochs", self.epochs, f"1 to {MOST_EPOCHS}")
        require(self.rows_per_sequence >= 1, "data.rows_per_sequence", self.rows_per_sequence, "at least 1")
        room = self.packed_length
        require(room is None or room >= 2, "data.packed_length", room, "at least 2")
        alone = room is None or (self.rows_per_sequence == 1 and self.max_length is None)
        others = "beside data.rows_per_sequence or data.max_length"
        require(alone, "data.packed_length", others, "the one that says what a sequence holds")
        limit = self.max_length
        require(limit is None or limit >= 2, "data.max_length", limit, "at least 2")
