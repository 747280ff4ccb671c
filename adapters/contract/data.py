"""The rows of a scenario, and how they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adapters.contract.checking import require

RowFormat = Literal["conversation", "prompt-completion"]


@dataclass(frozen=True)
class Message:
    role: Literal["user", "assistant"]
    content: str


Row = tuple[Message, ...]


@dataclass(frozen=True)
class Data:
    """What is trained on."""

    rows: tuple[Row, ...]
    """Conversations in the order of training; `Scenario.rows_per_step` of them make one global batch."""
    row_format: RowFormat = "conversation"
    """How a framework's dataset is written: a list of messages, or the last answer apart from what is before it."""
    rows_per_sequence: int = 1
    """More than 1 packs that many rows into one sequence, attention and positions apart for each."""

    def check(self) -> None:
        """Raises ValueError, in one line."""
        require(all(self.rows), "data.rows", "without messages somewhere", "one conversation each")
        require(self.rows_per_sequence >= 1, "data.rows_per_sequence", self.rows_per_sequence, "at least 1")
