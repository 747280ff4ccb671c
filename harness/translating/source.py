"""A file of options as a user has it: YAML, JSON, `key=value` words, flags, or a script that starts the training."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.translating import dialects
from harness.translating.dialects import Dialect, Layout
from harness.translating.meaning import NoMeaning
from harness.validation.read import bounded, launching
from harness.validation.read.bounded import BadConfiguration
from harness.validation.read.configuration import flat

SCRIPTS = (".sh", ".bash", ".slurm", ".sbatch")
NESTED = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Source:
    """What stands in a file."""

    options: Mapping[str, Any]
    program: str = ""
    """What a script starts."""
    ranks: int | None = None
    """Where a script says it."""


def read(path: Path) -> Source:
    """Raises BadConfiguration."""
    suffix = path.suffix.lower()
    if suffix in NESTED:
        return Source(bounded.mapping(path).values)
    if suffix in SCRIPTS:
        told = launching.launched(["bash", str(path)])
        return Source(_settings(told.words), told.program, told.ranks)
    return Source(parsed(bounded.text(path, str(path), "is no file of options: it has"), str(path)))


def parsed(text: str, at: str) -> dict[str, Any]:
    """Words of a command line, over one line or many. Raises BadConfiguration."""
    try:
        words = shlex.split(text.replace("\\\n", " "), comments=True)
    except ValueError as error:
        raise BadConfiguration(f"{at} cannot be read as words: {error}") from None
    found = _settings(words)
    if not found:
        raise BadConfiguration(f"{at} has no options")
    return found


def _settings(words: Sequence[str]) -> dict[str, Any]:
    plain = [word for word in words if re.match(r"[+~]{0,2}[A-Za-z_@][\w.@/-]*=", word)]
    flags = [word for word in words if word not in plain]
    told = [*launching.options(flags, {}), *launching.overrides(plain)]
    return {setting.key: setting.value for setting in told}


def dialect(framework: str, source: Source, method: str | None) -> Dialect:
    """Whose options these are. Raises NoMeaning for a framework of which none are read, and BadConfiguration where
    the options do not say what they are of."""
    known = [one for one in dialects.of(framework) if method in (None, one.method)]
    if not known:
        raise NoMeaning(none_of(framework, method))
    named = [one for one in known if any(name in source.program for name in one.programs)]
    if len(named) == 1:
        return named[0]
    best = _nearest(known, source.options)
    if len(best) > 1:
        methods = " or ".join(one.method for one in best)
        raise BadConfiguration(f"these options do not say whether they are of {framework}'s {methods}; say --method")
    if not best:
        raise BadConfiguration(f"none of these is an option of {framework} that is read")
    return best[0]


def _nearest(known: Sequence[Dialect], options: Mapping[str, Any]) -> list[Dialect]:
    """Those that know most of the options; of several those that can read their values."""
    scores = [sum(key in one.defaults for key in names(one, options)) for one in known]
    best = [one for one, score in zip(known, scores, strict=True) if score and score == max(scores)]
    return [one for one in best if _readable(one, options)] or best if len(best) > 1 else best


def _readable(one: Dialect, options: Mapping[str, Any]) -> bool:
    try:
        one.read(names(one, options), None)
    except BadConfiguration:
        return False
    except NoMeaning:
        return True
    return True


def none_of(framework: str, method: str | None) -> str:
    """Why there is no dialect."""
    told = sorted({f"{one.framework} ({one.method})" for one in dialects.DIALECTS})
    return f"no options of {framework}{f' for {method}' if method else ''} are read; known are {', '.join(told)}"


def names(one: Dialect, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options by the names that the dialect has for them."""
    return dict(flat(options)) if one.layout == "overrides" else dict(options)


def rendered(options: Mapping[str, Any], layout: Layout) -> str:
    """As a file or a command line of the framework has them, an option a line."""
    line = {"yaml": _yaml, "overrides": _override, "flags": _flag}[layout]
    return "".join(f"{line(key, value)}\n" for key, value in options.items())


def _yaml(key: str, value: Any) -> str:
    text = str(yaml.safe_dump(value, default_flow_style=True, width=1000))
    return f"{key}: {text.removesuffix('...' + chr(10)).strip()}"


def _override(key: str, value: Any) -> str:
    return f"{key}={'null' if value is None else value}"


def _flag(key: str, value: Any) -> str:
    if value is True:
        return f"--{key}"
    words = value if isinstance(value, list) else [value]
    return " ".join([f"--{key}", *map(str, words)])
