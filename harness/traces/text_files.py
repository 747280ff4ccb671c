"""The text files of a trace: its header, and what the framework reported. Read without torch: reports are quick.

A trace may come from elsewhere: no name in it is followed, and sizes are bounded.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from adapters import contract
from adapters.contract import Scenario
from scenarios import text

MAX_TEXT = 256 * 2**20
LOGS, LOG_LINES, LOG_WIDTH, LOG_BYTES = 64, 20, 2000, 64 * 1024
"""What is shown of what ranks printed: why a run did not end by itself."""


class UnreadableTrace(Exception):
    """A trace that is missing, truncated, edited, or of a schema this release does not read; one line and a remedy."""


def _float(value: Any) -> Any:
    return float(value.replace("Infinity", "inf")) if value in ("NaN", "Infinity", "-Infinity") else value


Float = Annotated[float | None, BeforeValidator(_float)]


class Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Reported(Line):
    """One optimizer step as the framework told it."""

    step: int
    loss: Float = None
    grad_norm: Float = None
    learning_rate: Float = None


class MicroBatch(Line):
    """What the model received in one forward pass; all lists are [sequences][tokens]."""

    step: int
    rank: int
    micro_batch: int
    input_ids: list[list[int]]
    loss_mask: list[list[int]] | None = None
    position_ids: list[list[int]] | None = None
    attention_start: list[list[int]]
    """First token that each token may attend to; -1 for padding, -2 for a pattern that is not one causal run."""


class Header(Line):
    schema_: int = 0
    framework: str
    version: str
    adapter: str
    fault: str | None = None
    scenario: dict[str, Any]
    scenario_hash: str
    ranks: int
    shims: list[dict[str, str]] = []
    packages: dict[str, str] = {}
    hardware: dict[str, Any] = {}
    python: str = ""
    argv: list[str] = []
    started: str = ""


L = TypeVar("L", bound=Line)


def header(folder: Path) -> tuple[Header, Scenario]:
    """Header and scenario of a trace, whole or not. Raises UnreadableTrace."""
    data = read_json(folder, contract.HEADER)
    schema = data.get("schema")
    if type(schema) is not int or schema != contract.TRACE_SCHEMA:
        newer = type(schema) is int and schema > contract.TRACE_SCHEMA
        remedy = "upgrade lockstep to read it" if newer else "record it again"
        raise UnreadableTrace(
            f"{folder} has trace schema {one_line(repr(schema))}, this release reads {contract.TRACE_SCHEMA}; {remedy}"
        )
    try:
        parsed = Header.model_validate({**data, "schema_": schema})
        scenario = contract.scenario_from_dict(parsed.scenario)
        for row in scenario.rows:
            text.render(row, scenario.vocabulary)
    except ValidationError as error:
        first = error.errors()[0]
        what = one_line(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        raise UnreadableTrace(f"{folder / contract.HEADER}: {what}; record it again") from None
    except (ValueError, KeyError) as error:
        what = f"{error} is in no vocabulary of the scenario" if isinstance(error, KeyError) else str(error)
        raise UnreadableTrace(f"{folder / contract.HEADER}: {one_line(what)}; record it again") from None
    if scenario.hash != parsed.scenario_hash:
        raise UnreadableTrace(
            f"{folder / contract.HEADER}: the scenario does not match its hash: it was edited; record it again"
        )
    if parsed.ranks != scenario.ranks:
        raise UnreadableTrace(
            f"{folder / contract.HEADER}: {parsed.ranks} ranks ran a scenario of {scenario.ranks}; record it again"
        )
    return parsed, scenario


def reported(folder: Path, rank: int = 0) -> tuple[Reported, ...]:
    """What a rank's framework told of each step, as far as it came. Raises UnreadableTrace."""
    return tuple(read_lines(folder, contract.steps_file(rank), Reported))


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
        if log.is_symlink() or not log.is_file():
            continue
        with log.open("rb") as content:
            content.seek(max(0, log.stat().st_size - LOG_BYTES))
            lines = content.read().decode(errors="replace").splitlines()[-LOG_LINES:]
        yield Tail(log.name, tuple(line[:LOG_WIDTH] for line in lines))


def one_line(value: object) -> str:
    """What stands in a trace, fit for a message: one line, of bounded length."""
    shown = " ".join(str(value).split())
    return ascii(shown[:200])[1:-1]


def read_bytes(folder: Path, name: str, limit: int) -> bytes:
    path = folder / name
    try:
        if path.is_symlink() or (path.parent != folder and path.parent.is_symlink()):
            raise UnreadableTrace(f"{path} is a symbolic link, which a trace never holds; copy the trace as files")
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UnreadableTrace(f"{path} is no file; record it again")
        if found.st_size > limit:
            raise UnreadableTrace(
                f"{path} has {found.st_size} bytes, more than the {limit} that are read; it is not a trace's:"
                " record it again"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise UnreadableTrace(f"{folder} has no {name}: not a trace, or a part is lost; record it again") from None
    except OSError as error:
        raise UnreadableTrace(f"{path} cannot be read ({error.strerror}); check its permissions") from None


def read_json(folder: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads(read_bytes(folder, name, MAX_TEXT))
    except RecursionError:
        raise UnreadableTrace(f"{folder / name} is nested too deeply for a trace's; record it again") from None
    except ValueError as error:
        raise UnreadableTrace(
            f"{folder / name} is not JSON ({one_line(error)}); it was truncated: record it again"
        ) from None
    if not isinstance(value, dict):
        raise UnreadableTrace(f"{folder / name} holds no JSON object; record it again")
    return value


def read_lines(folder: Path, name: str, kind: type[L]) -> Iterator[L]:
    for number, line in enumerate(read_bytes(folder, name, MAX_TEXT).splitlines(), 1):
        try:
            yield kind.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the line"
            raise bad_line(folder, name, number, f"{where}: {first['msg']}") from None


def bad_line(folder: Path, name: str, number: int, what: str) -> UnreadableTrace:
    return UnreadableTrace(
        f"{folder / name} line {number}: {one_line(what)}; it was truncated or edited: record it again"
    )
