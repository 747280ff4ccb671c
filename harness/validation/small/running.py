"""Runs a small run in a framework's environment, below a keeper, and records it."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from adapters.contract import SHIMS, Shim
from harness import files
from harness.environments.environment import Environment
from harness.launch.cluster.errands import Failed
from harness.launch.cluster.held import JobEnded
from harness.launch.pythonpath import adapters_alone
from harness.launch.sandbox import SCRATCH, start_in
from harness.processes import PATIENCE, Ended, Kept, TimedOut
from harness.recordings import making
from harness.recordings.making import Made
from harness.validation.known.ledger import RANKS
from harness.validation.read.bounded import BadConfiguration
from harness.validation.small.place import Place, Small
from lockstep_recorder.settings import Settings

TIMEOUT = 300.0
"""Seconds that a small run may take."""
GIVEN, LOG, RECORDING = "given.json", "log.txt", "recording"
REPORT = 1 << 16
"""Bytes at the end of a log in which the reason for an end is looked for."""
_REASON = re.compile(
    r"^(?:\[rank\d+\]: )?([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit)\b: .*|\S+: error: .*)$", re.MULTILINE
)
NO_MODEL = 3
"""Exit status of `adapters.given.checkpoint` for an architecture that its transformers does not know."""


Do = Callable[..., Any]
"""Has a function called with what is given beside it, here or on a node of a cluster; JSON can hold what it returns."""


def here(work: Callable[..., Any], *of: Any) -> Any:
    return work(*of)


class NotRun(Exception):
    """A small run did not come to its end; the message is one line with the reason."""


class NoModel(Exception):
    """The environment's transformers does not know an architecture."""


@dataclass(frozen=True)
class Ran:
    """A run that has ended, and been recorded."""

    recording: Path
    made: Made
    shims: tuple[Shim, ...]


def checkpoint(environment: Environment, described: str, folder: Path, log: Path, do: Do = here) -> None:
    """Let the environment's own transformers make a tiny model and its tokenizer. Raises NoModel and NotRun."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "description.json"
    file.write_text(described)
    own = environment.cpu_variables
    ended = _ended(do, environment, ["adapters.given.checkpoint", str(file), str(folder)], folder, log, own)
    if ended.code == NO_MODEL:
        raise NoModel
    if ended.code:
        raise NotRun(f"the tiny model could not be made: {_reason(ended, log)}")


def parquet(environment: Environment, file: Path, count: int, out: Path, do: Do = here) -> Path:
    """Let the environment read the first rows of a Parquet file; as lines of JSON in `out`. Raises BadConfiguration."""
    lines, log = out / "rows.jsonl", out / "log-rows.txt"
    words = ["adapters.given.first_rows", str(file.absolute()), str(count), str(lines.absolute())]
    ended = Ended(*do(_keep, environment, words, out, log, {}))
    if ended.code:
        said = files.tail(log, REPORT).decode(errors="replace").strip().splitlines()
        raise BadConfiguration(f"{file} holds no rows: {said[-1] if said else _reason(ended, log)}")
    return lines


def devices(environment: Environment) -> int:
    """CUDA devices that the environment's torch sees."""
    asked = [str(environment.python), "-c", "import torch; print(torch.cuda.device_count())"]
    done = subprocess.run(asked, check=False, capture_output=True, text=True, env=environment.environ("cuda"))
    return int(done.stdout) if done.returncode == 0 else 0


def run(environment: Environment, small: Small, place: Place, do: Do = here) -> Ran:
    """Start its ranks, and wait for them. Raises NotRun, and BadCommand where the folder cannot be written."""
    for name, text in small.files.items():
        path = place.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (place.here / GIVEN).write_text(small.given.dumps())
    recording = place.here / RECORDING
    settings = Settings(str(recording), ((0, small.given.steps - 1),), keep_tokens=True)
    making.prepare(recording)
    cpu = small.given.device == "cpu"
    interpreter = {"TRITON_INTERPRET": "1"} if small.given.liger and cpu else {}
    base = {
        **(environment.cpu_variables if cpu else {}),
        **interpreter,
        "HF_HOME": str(place.here / "cache"),
        "HF_DATASETS_CACHE": str(place.here / "cache"),
    }
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(RANKS)]
    words = [*launch, "-m", "adapters.given.start", str(place.here / GIVEN)]
    ended = _ended(do, environment, words, place.here, place.here / LOG, base, settings)
    made = making.conclude(recording, ended.code or 0)
    if ended.code != 0 or not made.steps:
        raise NotRun(_reason(ended, place.here / LOG))
    shims = json.loads((place.here / SHIMS).read_text())
    return Ran(recording, made, tuple(Shim(**shim) for shim in shims))


def _ended(do: Do, *of: Any) -> Ended:
    """How `_keep` has ended. Raises NotRun, where the job of a cluster that was to call it is over too."""
    try:
        return Ended(*do(_keep, *of))
    except (Failed, JobEnded) as error:
        raise NotRun(str(error)) from None


def _keep(
    environment: Environment,
    module: list[str],
    here: Path,
    log: Path,
    more: Mapping[str, str],
    settings: Settings | None = None,
) -> tuple[int | None, bool]:
    """Run a module of the environment in a folder, and leave no process of it behind; the fields of `Ended`."""
    own = {**environment.variables, **more}
    with adapters_alone() as folder, log.open("ab") as out:
        (folder / SCRATCH).mkdir()
        start = start_in(folder, [str(environment.python), "-m", *module], environment.python, own, None)
        variables = start.environment
        if settings is not None:
            variables = making.variables(Path(settings.out), settings, variables)
        kept = Kept(start.command, variables, timeout=TIMEOUT, folder=folder, cwd=here, stdout=out, stderr=out)
        with contextlib.closing(kept):
            try:
                return astuple(kept.wait(TIMEOUT + PATIENCE))
            except TimedOut:
                return None, True


def _reason(ended: Ended, log: Path) -> str:
    """One line: the last error that was printed, else how the processes ended."""
    if ended.timed_out:
        return f"it was not finished after {TIMEOUT:g} s"
    text = files.tail(log, REPORT).decode(errors="replace")
    found: list[str] = [line for line in _REASON.findall(text) if "ChildFailedError" not in line]
    if found:
        return found[0]
    return "nothing was recorded" if ended.code == 0 else f"it ended with status {ended.code}; see {log.name}"
