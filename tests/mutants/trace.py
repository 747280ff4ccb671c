"""A copy of a recorded trace that can be changed and sealed again, as somebody who wants to deceive the judge would."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.contract import END, HEADER, batches_file, hidden_file, scenario_from_dict, steps_file, tensors_file
from adapters.inside.recorder import digests
from harness.oracle.architectures import FORWARD


@dataclass(frozen=True)
class Copy:
    """A trace in a folder of its own. What is not changed shares its bytes with the original."""

    folder: Path
    ranks: int
    steps: int

    @staticmethod
    def of(trace: Path, folder: Path) -> Copy:
        """The trace's own files; what lies beside them, such as logs, is left out."""
        sealed = json.loads((trace / END).read_text())
        header = json.loads((trace / HEADER).read_text())
        (folder / "tensors").mkdir(parents=True)
        for name in (END, *sealed["files"]):
            os.link(trace / name, folder / name)
        return Copy(folder, header["ranks"], sealed["steps"])

    def path(self, name: str) -> Path:
        return self.folder / name

    def bytes(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        self.remove(name)
        (self.folder / name).write_bytes(content)

    def remove(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def json(self, name: str) -> Any:
        return json.loads(self.bytes(name))

    def lines(self, name: str) -> list[Any]:
        return [json.loads(line) for line in self.bytes(name).splitlines()]

    def write_lines(self, name: str, lines: list[Any]) -> None:
        self.write(name, "".join(json.dumps(line) + "\n" for line in lines).encode())

    @property
    def texts(self) -> list[str]:
        """Names of the files of lines."""
        return [name(rank) for rank in range(self.ranks) for name in (steps_file, batches_file)]

    @property
    def states(self) -> list[tuple[int, int]]:
        """Step and rank of every file of tensors."""
        return [(step, rank) for step in range(self.steps + 1) for rank in range(self.ranks)]

    @property
    def hidden(self) -> list[str]:
        """Names of the files of hidden states that were recorded."""
        every = (hidden_file(step, rank) for step in range(self.steps) for rank in range(self.ranks))
        return [name for name in every if self.path(name).exists()]

    @property
    def asks_hidden(self) -> bool:
        """Whether the judge needs them: for a model that the oracle has no forward pass of."""
        return self.json(HEADER)["scenario"]["model"].get("architecture", "llama") not in FORWARD

    @property
    def names(self) -> list[str]:
        return [HEADER, *self.texts, *(tensors_file(*state) for state in self.states), *self.hidden]

    def seal(self, hashed: bool = True) -> None:
        """Make every checksum right, and the hash of the scenario if `hashed`."""
        with contextlib.suppress(Exception):  # of a header that is none, nothing can be made right
            # Reading a pipe would wait for ever, and what is too large to be read by anybody needs no right hash.
            if not self.path(HEADER).is_file() or self.path(HEADER).stat().st_size > 2**21:
                raise FileNotFoundError
            header = self.json(HEADER)
            right = scenario_from_dict(header["scenario"]).hash
            if hashed and header["scenario_hash"] != right:
                # In place, so that nothing else of the file changes, such as a key that stands there twice.
                self.write(HEADER, self.bytes(HEADER).replace(header["scenario_hash"].encode(), right.encode()))
        end = self.json(END)
        self.write(END, json.dumps({**end, "files": digests(self.folder)}).encode())
