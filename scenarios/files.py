"""Scenarios as TOML files, written by hand or by a tool.

What a file does not say is as in its `base`, a named scenario. Groups are tables, as in `lockstep list dimensions`; the
word "none" leaves a field out that may be left out. Rows stay those of the base where they suffice; `responses` makes
others, of such lengths.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from adapters.contract import BOS, SPACE, Scenario, build, fields_of, hints, to_dict
from scenarios import catalogue, patterns, rows
from scenarios.architectures import FAMILIES

SUFFIX = ".toml"
BASE = "sft-ragged"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
LARGEST = 2**20
"""Bytes of a file."""
LONGEST = 512
"""Tokens of a response."""


class BadScenario(Exception):
    """A file that is no scenario; the message is one line."""


def load(path: Path, seed: int | None = None) -> Scenario:
    """The scenario of a file, named as it says, or by the file. seed: instead of the file's own. Raises BadScenario."""
    told = _read(path)
    try:
        scenario = made(told, path.stem, seed)
    except ValueError as error:
        raise BadScenario(f"{path}: {str(error).replace('scenario.', '', 1)}") from None
    if not NAME.fullmatch(scenario.name):
        raise BadScenario(
            f"{path}: name is {ascii(scenario.name)[:60]}, not letters, digits, '.', '_' and '-'; it names folders"
        )
    known = catalogue.CATALOGUE.get(scenario.name)
    if known is not None and known(scenario.seed) != scenario:
        raise BadScenario(f"{path}: {scenario.name!r} is a scenario of the catalogue; give this one another name")
    return scenario


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST:
            raise BadScenario(f"{path} has more than {LARGEST} bytes: no scenario is as long")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise BadScenario(f"{path} cannot be read: {reason}") from None


def made(content: Mapping[str, Any], name: str, seed: int | None = None) -> Scenario:
    """The scenario that a file of that content has; `name` if it says none. Raises ValueError, in one line."""
    told = dict(content)
    base, responses, own = told.pop("base", BASE), told.pop("responses", None), told.pop("seed", 0)
    if not isinstance(base, str) or base not in catalogue.CATALOGUE:
        raise ValueError(f"base is {ascii(base)[:60]}, which `lockstep list scenarios` does not name")
    seed = own if seed is None else seed
    if type(seed) is not int or seed < 0:
        raise ValueError(f"seed is {ascii(seed)[:60]}, not a whole number of at least 0")
    whole = _merged(Scenario, to_dict(catalogue.get(base, seed)), {"name": name, **told})
    scenario = build(Scenario, whole, "scenario")
    if "rows" not in told.get("data", {}):
        scenario = _fitted(scenario, _lengths(responses))
    scenario.check()
    patterns.check(scenario)
    return scenario


def content(scenario: Scenario) -> dict[str, Any]:
    """What stands in a file of that very scenario: its rows, and what is not as in `BASE`. The inverse of `made`."""
    base = {path: value for path, value, _ in fields_of(catalogue.get(BASE, scenario.seed))}
    values = {
        path: "none" if value is None else _plain(value)
        for path, value, _ in fields_of(scenario)
        if path == "data.rows" or (path != "name" and value != base[path])
    }
    return {"name": scenario.name, "base": BASE, "seed": scenario.seed, **grouped(values)}


def grouped(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by their dotted paths as tables in tables."""
    told: dict[str, Any] = {}
    for path, value in values.items():
        *groups, field = path.split(".")
        into = told
        for group in groups:
            into = into.setdefault(group, {})
        into[field] = value
    return told


def _plain(value: Any) -> Any:
    """As TOML, which has no word for what is left out."""
    if is_dataclass(value):
        return {one.name: _plain(here) for one in fields(value) if (here := getattr(value, one.name)) is not None}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def _fitted(scenario: Scenario, responses: Sequence[int] | None) -> Scenario:
    """With rows and vocabulary made anew where those of the base do not suffice, or other lengths are asked for."""
    scenario.window.check()
    scenario.model.check()
    replace(scenario.data, parts=(), mixing="concatenated").check()  # whose sizes are those of the rows that are made
    if scenario.model.vocab_size > rows.MOST_WORDS:
        raise ValueError(
            f"model.vocab_size is {scenario.model.vocab_size}, and at most {rows.MOST_WORDS} words are made"
        )
    told = scenario.model.vocab_size - scenario.model.extra_rows
    if told < rows.FEWEST_WORDS:
        less = f" less model.extra_rows, {scenario.model.extra_rows}," * bool(scenario.model.extra_rows)
        raise ValueError(
            f"model.vocab_size is {scenario.model.vocab_size},{less} and at least {rows.FEWEST_WORDS} words are needed"
        )
    needed = rows.needed(scenario)
    if needed > rows.MOST_ROWS:
        raise ValueError(
            f"window needs {needed} rows, and {rows.MOST_ROWS} are made at most; take fewer steps, or smaller ones"
        )
    words = scenario.tokenizer.vocabulary
    suits = (SPACE in words) == (FAMILIES[scenario.model.architecture].tokenizer == "pieces")
    spoken = suits and len(words) == told and (BOS in words) == scenario.tokenizer.bos
    kept = responses is None and spoken
    if kept and scenario.dealing.steps(scenario.data.epochs) >= scenario.window.steps:
        return scenario
    return rows.fit(scenario, responses or rows.RAGGED)


def _merged(kind: type, base: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """`told` over `base`, group by group; what is no field stays, and is refused later."""
    merged = dict(base)
    for name, value in told.items():
        wanted = hints(kind).get(name)
        if isinstance(wanted, type) and is_dataclass(wanted) and isinstance(value, Mapping):
            merged[name] = _merged(wanted, base[name], value)
        else:
            merged[name] = None if value == "none" and NoneType in get_args(wanted) else value
    return merged


def _lengths(responses: Any) -> tuple[int, ...] | None:
    if responses is None:
        return None
    right = isinstance(responses, list) and all(type(n) is int and 1 <= n <= LONGEST for n in responses)
    if not right or not 1 <= len(responses) <= rows.MOST_ROWS:
        raise ValueError(f"responses is {ascii(responses)[:60]}, not a list of lengths from 1 to {LONGEST}")
    return tuple(responses)
