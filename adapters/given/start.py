"""A rank of a framework's own program, stopped early: `python -m adapters.given.start GIVEN.json`.

It has the framework's shims, and nothing else of Lockstep; the recorder comes from outside.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import torch

from adapters.contract import SHIMS, Given, Shim, to_dict
from adapters.families.triton_interpreter import INTERPRETER, interpret

STARTED_BY = {
    "trl": "of_trainer",
    "ms-swift": "of_swift",
    "llamafactory": "of_llamafactory",
    "openrlhf": "of_openrlhf",
    "verl": "of_verl",
}
"""Module of this folder, by framework."""


class Starter(Protocol):
    """What a module of this folder offers."""

    def apply(self, given: Given) -> Sequence[Shim]:
        """Change what has to be changed in this process, and see to it that the program stops after its steps."""


def main() -> None:
    """The only argument is the file of a `Given`, in the current folder's parent or anywhere."""
    given = Given.loads(Path(sys.argv[1]).read_text())
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # gloo looks up the host's name otherwise
    if given.device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    starter = cast(Starter, import_module(f"adapters.given.{STARTED_BY[given.framework]}"))
    applied = [*starter.apply(given)]
    if given.liger and given.device == "cpu":
        applied.append(INTERPRETER)
        interpret()
    if os.environ.get("RANK", "0") == "0":
        Path(SHIMS).write_text(json.dumps([to_dict(shim) for shim in applied]))
    sys.argv = [given.program, *given.words]
    runpy.run_module(given.program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
