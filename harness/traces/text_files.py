"""The text files of a trace: its header, and what the framework reported. Read without torch: reports are quick.

A trace may come from elsewhere: no name in it is followed, sizes are bounded by what its scenario can hold, and
docs/traces.md says of every number what it is held against.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, PlainValidator, ValidationError

from adapters import contract
from adapters.contract import Scenario
from harness import files
from harness.traces import strict_json
from scenarios import rendering, weights

MAX_JSON = 2 * 2**20
"""Bytes of a header, a seal or a crash file. Those of the scenarios have some ten thousand."""
MAX_STEP_LINE = 1024
"""Bytes of what a framework reported of one step: four numbers."""
MAX_LINES = 8 * 2**20
"""Bytes of a file of lines, whatever the scenario."""
MAX_STEPS = 1000
"""Optimizer steps of a scenario. Those of the catalogue have three."""
MAX_PARAMETERS = 2**22
"""Numbers of a model. Those of the scenarios have 70 thousand."""
LOGS, LOG_LINES, LOG_WIDTH, LOG_BYTES = 64, 20, 2000, 64 * 1024
"""What is shown of what ranks printed: why a run did not end by itself."""


class UnreadableTrace(Exception):
    """A trace that is missing, truncated, edited, or of a schema this release does not read; one line and a remedy."""


def _float(value: Any) -> Any:
    return float(value.replace("Infinity", "inf")) if value in ("NaN", "Infinity", "-Infinity") else value


def _numbers(value: Any) -> Any:
    """Told by its first fault: a million of them must not become a million complaints, as pydantic would make them."""
    if type(value) is not list:
        raise ValueError("no list of sequences")
    for i, sequence in enumerate(value):
        if type(sequence) is not list:
            raise ValueError(f"sequence {i} is no list of numbers")
        if any(type(number) is not int for number in sequence):
            place = next(j for j, number in enumerate(sequence) if type(number) is not int)
            raise ValueError(f"number {place} of sequence {i} is no whole number")
    return value


Float = Annotated[float | None, BeforeValidator(_float)]
Numbers = Annotated[list[list[int]], PlainValidator(_numbers)]


class Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Reported(Line):
    """One optimizer step as the framework told it."""

    step: int
    loss: Float
    grad_norm: Float
    learning_rate: Float


class Memory(Line):
    """Bytes that one rank took at most in a step; see `contract.memory_file`."""

    step: int
    allocated: int | None
    reserved: int | None
    resident: int


class MicroBatch(Line):
    """What the model received in one forward pass; all lists are [sequences][tokens]."""

    step: int
    rank: int
    micro_batch: int
    input_ids: Numbers
    loss_mask: Numbers | None
    position_ids: Numbers | None
    attention_start: Numbers
    """First token that each token may attend to; -1 for padding, -2 for a pattern that is not one causal run."""


class Header(Line):
    """What ran, and on what. But for the scenario and the number of ranks, nothing of it can be held against the
    numbers: it is what the trace says of itself."""

    schema_: int = 0
    framework: str
    version: str
    adapter: str
    fault: str | None = None
    scenario: dict[str, Any]
    scenario_hash: str
    ranks: int
    shims: Annotated[list[dict[str, str]], FailFast()] = []
    packages: dict[str, str] = {}
    hardware: dict[str, Any] = {}
    python: str = ""
    argv: Annotated[list[str], FailFast()] = []
    started: str = ""


L = TypeVar("L", bound=Line)


def header(folder: Path) -> tuple[Header, Scenario]:
    """Header and scenario of a trace, whole or not. Raises UnreadableTrace."""
    data = read_json(folder, contract.HEADER)
    schema = data.get("schema")
    if type(schema) is not int or not contract.OLDEST_SCHEMA <= schema <= contract.TRACE_SCHEMA:
        newer = type(schema) is int and schema > contract.TRACE_SCHEMA
        remedy = "upgrade lockstep to read it" if newer else "record it again"
        raise UnreadableTrace(
            f"{folder} has trace schema {one_line(repr(schema))}, this release reads {contract.OLDEST_SCHEMA} to"
            f" {contract.TRACE_SCHEMA}; {remedy}"
        )
    try:
        parsed = Header.model_validate({**{k: v for k, v in data.items() if k != "schema"}, "schema_": schema})
        return parsed, _scenario(parsed)
    except ValidationError as error:
        raise _bad_header(folder, first_fault(error)) from None
    except KeyError as error:
        raise _bad_header(folder, f"{error} is in no vocabulary of the scenario") from None
    except ValueError as error:
        raise _bad_header(folder, str(error)) from None


def _scenario(parsed: Header) -> Scenario:
    """The scenario that the header tells, once it is known that nobody edited it. Raises ValueError and KeyError."""
    scenario = contract.scenario_from_dict(parsed.scenario)
    if scenario.hash != parsed.scenario_hash:
        raise ValueError("the scenario does not match its hash: it was edited")
    if parsed.ranks != scenario.window.ranks:
        raise ValueError(f"{parsed.ranks} ranks ran a scenario of {scenario.window.ranks}")
    if scenario.window.steps > MAX_STEPS:
        raise ValueError(f"the scenario has {scenario.window.steps} steps, more than the {MAX_STEPS} that are read")
    if (numbers := weights.count(scenario.model)) > MAX_PARAMETERS:
        raise ValueError(f"the scenario's model has {numbers} parameters, more than the {MAX_PARAMETERS} that are read")
    rendering.rendered(scenario)
    return scenario


def first_fault(error: ValidationError) -> str:
    """Where something does not fit, and why, in one line; of several the first."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, found['loc'])) or 'all of it'}: {found['msg']}"


def _bad_header(folder: Path, what: str) -> UnreadableTrace:
    return UnreadableTrace(f"{folder / contract.HEADER}: {one_line(what)}; record it again")


def reported(folder: Path, scenario: Scenario, rank: int = 0) -> tuple[Reported, ...]:
    """What a rank's framework told of each step, as far as it came. Raises UnreadableTrace."""
    name = contract.steps_file(rank)
    lines = tuple(read_lines(folder, name, Reported, min(MAX_LINES, MAX_STEP_LINE * scenario.window.steps)))
    if (odd := next((i for i, line in enumerate(lines) if line.step != i), None)) is not None:
        raise bad_line(folder, name, odd + 1, f"step is {lines[odd].step}, expected {odd}")
    return lines


def memory(folder: Path, rank: int = 0) -> tuple[Memory, ...]:
    """What a rank took of memory, step by step; nothing of a trace that an older release made. Raises
    UnreadableTrace."""
    name = contract.memory_file(rank)
    return tuple(read_lines(folder, name, Memory, MAX_STEPS * MAX_STEP_LINE)) if (folder / name).exists() else ()


@dataclass(frozen=True)
class Tail:
    """The last lines of what a rank printed."""

    name: str
    lines: tuple[str, ...]


def tails(folder: Path) -> Iterator[Tail]:
    """Of each rank's log, in order. No link is followed, of a long log the end is read, and of a long line the begin.

    Raises OSError.
    """
    for log in sorted(folder.glob("log-r*.txt"))[:LOGS]:
        try:
            lines = files.tail(log, LOG_BYTES).decode(errors="replace").splitlines()[-LOG_LINES:]
        except (files.NotRegular, files.Link):
            continue
        yield Tail(log.name, tuple(line[:LOG_WIDTH] for line in lines))


def one_line(value: object) -> str:
    """What stands in a trace, fit for a message: one line, of bounded length."""
    shown = " ".join(str(value).split())
    return ascii(shown[:200])[1:-1]


def read_bytes(folder: Path, name: str, limit: int) -> bytes:
    """All of a file of a trace, which is a regular one and no link. Raises UnreadableTrace."""
    with told(folder, name, limit):
        return files.read(folder / name, limit, follow=False)


@contextmanager
def told(folder: Path, name: str, limit: int) -> Iterator[None]:
    """What keeps a file of a trace from being read becomes an UnreadableTrace."""
    path = folder / name
    try:
        if path.parent != folder and path.parent.is_symlink():
            raise files.Link
        yield
    except FileNotFoundError:
        raise UnreadableTrace(f"{folder} has no {name}: not a trace, or a part is lost; record it again") from None
    except files.Link:
        raise UnreadableTrace(
            f"{path} is a symbolic link, which a trace never holds; copy the trace as files"
        ) from None
    except files.NotRegular:
        raise UnreadableTrace(f"{path} is no file; record it again") from None
    except files.TooLarge:
        raise UnreadableTrace(
            f"{path} has more than the {limit} bytes that its scenario can fill; it is not a trace's: record it again"
        ) from None
    except OSError as error:
        raise UnreadableTrace(f"{path} cannot be read ({error.strerror}); check its permissions") from None


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """The object in a JSON file of a trace. Raises UnreadableTrace."""
    try:
        value = strict_json.loads(read_bytes(folder, name, MAX_JSON))
    except strict_json.BadJson as error:
        raise UnreadableTrace(
            f"{folder / name}: {one_line(error)}; it was truncated or edited: record it again"
        ) from None
    if not isinstance(value, dict):
        raise UnreadableTrace(f"{folder / name} holds no JSON object; record it again")
    return value


def read_lines(folder: Path, name: str, kind: type[L], limit: int) -> Iterator[L]:
    """The records in a file of lines of at most `limit` bytes. Raises UnreadableTrace."""
    for number, line in enumerate(read_bytes(folder, name, limit).splitlines(), 1):
        try:
            yield kind.model_validate(strict_json.loads(line))
        except ValidationError as error:
            raise bad_line(folder, name, number, first_fault(error)) from None
        except strict_json.BadJson as error:
            raise bad_line(folder, name, number, str(error)) from None


def bad_line(folder: Path, name: str, number: int, what: str) -> UnreadableTrace:
    return UnreadableTrace(
        f"{folder / name} line {number}: {one_line(what)}; it was truncated or edited: record it again"
    )
