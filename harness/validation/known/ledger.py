"""The ledger: every key of a configuration gets one word, so that none is dropped silently."""

from __future__ import annotations

import difflib
import fnmatch
import functools
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import printable
from harness.validation.known.releases import Release
from harness.validation.read import redaction
from harness.validation.read.configuration import Setting, truth
from harness.validation.read.machine import Machine
from harness.validation.record import KeyRecord, Word

FILE = Path(__file__).with_name("words.toml")
LENGTH = 128
"""Tokens of the longest sequence in a small run."""
ROOM = 1024
"""That many, where a framework leaves longer rows out: the rows of small runs are shorter."""
RANKS = 2
MOST_ACCUMULATED = 8
MADE = "rows made in its format"
LONGEST = 120
"""Characters of a value that are shown."""


@dataclass(frozen=True)
class Changed:
    """What a small run has in the place of a value; None for the value itself."""

    to: str | None
    why: str | None = None


def _model(value: Any) -> Changed:
    return Changed("a tiny model of its architecture", "embeddings, biases, norms and special tokens as it has them")


def _data(value: Any) -> Changed:
    return Changed(MADE, "your own first rows, where --data gives a file of them")


def _length(value: Any) -> Changed:
    return Changed(str(LENGTH)) if _whole(value) > LENGTH else Changed(None)


def _room(value: Any) -> Changed:
    return Changed(str(ROOM)) if _whole(value) > ROOM else Changed(None)


def _world(value: Any) -> Changed:
    return Changed(f"{RANKS} ranks in all") if _whole(value) != RANKS else Changed(None)


def _devices(value: Any) -> Changed:
    return Changed("no device, but a CPU")


def _accumulation(value: Any) -> Changed:
    return Changed(str(MOST_ACCUMULATED)) if _whole(value) > MOST_ACCUMULATED else Changed(None)


def _batch(value: Any) -> Changed:
    return Changed(
        f"what {RANKS} ranks and at most {MOST_ACCUMULATED} micro-batches make", "micro-batches are as large"
    )


def _whole(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 2**31  # nobody knows how long


def _instead(what: str, other: str) -> str:
    return f"not covered: {what}; ran {other} instead; a fault inside {what} would not show"


def _attention(value: Any) -> Changed:
    name = str(value)
    plain = name in ("eager", "sdpa", "disabled", "auto")
    return Changed(None) if plain else Changed("sdpa", _instead("flash attention", "sdpa"))


def _flash(value: Any) -> Changed:
    return Changed("false", _instead("flash attention", "eager attention"))


def _packed(value: Any) -> Changed:
    return Changed(
        "false", _instead("packing of samples, for which flash attention is needed,", "each sample by itself")
    )


def by_bitsandbytes(optimizer: str) -> bool:
    """Whether an optimizer of the Trainer's names is of bitsandbytes."""
    return any(part in optimizer for part in ("8bit", "paged", "bnb"))


def _optimizer(value: Any) -> Changed:
    name = str(value)
    if by_bitsandbytes(name):
        paged = ", unpaged" if "paged" in name else ""
        return Changed(None, f"by what bitsandbytes has for CPUs{paged}, {FIRST_ALONE}")
    if "4bit" in name and "adamw" in name:
        return Changed("adamw_torch", _instead(name, "AdamW with float32 moments"))
    if "fused" in name:
        return Changed("adamw_torch", _instead("the fused kernel", "AdamW of the same rule"))
    return Changed(None)


def _unsloth(value: Any) -> Changed:
    return Changed("false", _instead("unsloth", "the framework without it"))


def _backend(value: Any) -> Changed:
    return Changed("gloo", _instead("NCCL", "gloo")) if str(value) != "gloo" else Changed(None)


def _compile(value: Any) -> Changed:
    return Changed("false", _instead("the compiler", "the model as it is written"))


HOW: Mapping[str, Callable[[Any], Changed]] = {
    "model": _model, "data": _data, "length": _length, "room": _room, "world": _world,
    "devices": _devices, "accumulation": _accumulation, "batch": _batch,
    "attention": _attention, "flash": _flash, "packed": _packed, "optimizer": _optimizer,
    "unsloth": _unsloth, "backend": _backend,
    "compile": _compile,
}  # fmt: skip
ON_A_GPU = frozenset({
    "attention", "flash", "packed", "optimizer", "liger", "unsloth", "backend", "compile", "devices",
})  # fmt: skip
"""What is changed only where there is no GPU."""

FIRST_ALONE = "in the run of the first steps alone"
Judged = tuple[Word, str | None, str | None]
"""A word, what the value is changed to, and why."""
_LISTS: Mapping[str, Word] = {"uncovered": "not covered", "kept": "kept", "nothing": "no effect on the step"}
"""The first that fits holds."""


@functools.cache
def _words() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text())


def entry(key: str, groups: Sequence[str]) -> tuple[Word, str | None] | None:
    """The word of a key by the first of these groups that has it, and the name of how it is changed."""
    for group in groups:
        told = _words().get(group, {})
        for word in ("shrunk", "swapped"):
            if key in told.get(word, {}):
                return word, told[word][key]
        for name, word in _LISTS.items():
            if any(fnmatch.fnmatchcase(key, pattern) for pattern in told.get(name, [])):
                return word, None
    return None


def deciding(group: str) -> list[str]:
    """Patterns of the names in a group that decide something of a step."""
    told = _words()[group]
    return [*told["kept"], *told.get("shrunk", {}), *told.get("swapped", {})]


def rows(
    settings: Iterable[Setting],
    groups: Sequence[str],
    release: Release | None,
    own: str | None,
    machine: Machine,
) -> list[KeyRecord]:
    """A row for each key.

    groups: of `words.toml`, the framework's own first. release: which options there are; None where no table says.
    own: what takes options of its own, so that one that the release does not know is that one's.
    """
    return [_row(setting, judged(setting, groups, release, own, machine)) for setting in settings]


def _row(setting: Setting, told: Judged) -> KeyRecord:
    word, to, why = told
    instead = f"instead of {setting.instead}" if setting.instead else None
    said = "; ".join(filter(None, [why, instead])) or None
    key = printable.line(redaction.name(setting.key), LONGEST)
    return KeyRecord(
        key=key,
        value=shown(setting.key, setting.value),
        source=redaction.line(setting.source, LONGEST),
        word=word,
        to=to,
        why=said and redaction.line(said),
    )


def shown(key: str, value: Any) -> str:
    """A value in one line, without secrets."""
    told = redaction.value(key, value)
    plain = told is None or isinstance(told, bool)
    return printable.line({"None": "null"}.get(str(told), str(told).lower()) if plain else str(told), LONGEST)


def judged(
    setting: Setting, groups: Sequence[str], release: Release | None, own: str | None, machine: Machine
) -> Judged:
    """The word of a key, what it is changed to, and why; see `rows`."""
    key, value = setting.key, setting.value
    if release is not None and not _is_known(key, release) and not (own and entry(key, groups)):
        if own:
            return "not covered", None, f"an option of {own}, or none"
        if setting.added:
            return "not covered", None, f"it is added to the options of {release}"
        near = difflib.get_close_matches(key, list(release.options), n=1, cutoff=0.6)
        hint = f"; did you mean {near[0]}?" if near else ""
        return "unknown to this release", None, f"{release} has no such option{hint}"
    found = entry(key, groups)
    if found is None:
        off = not truth(value)
        return (
            ("no effect on the step", None, "it is off")
            if off
            else ("not covered", None, "what it does to a step is not known")
        )
    word, how = found
    if how is not None:
        changed = _changed(how, value, machine) if truth(value) else Changed(None)
        switched_off = word == "swapped" and not truth(value)
        if changed.to is None:
            return ("no effect on the step", None, "it is off") if switched_off else ("kept", None, changed.why)
        return word, changed.to, changed.why
    if word == "not covered" and (not truth(value) or (value == 1 and ("parallel" in key or "ring" in key))):
        return "no effect on the step", None, "it is off"
    return word, None, None


def _changed(how: str, value: Any, machine: Machine) -> Changed:
    if how in ON_A_GPU and machine.cuda:
        return Changed(None)
    return _liger(machine) if how == "liger" else HOW[how](value)


LIGER, OWN_MODULES = "Liger", "the framework's own modules"


def _liger(machine: Machine) -> Changed:
    if machine.why_not_liger is None:
        return Changed(None, f"under Triton's interpreter, {FIRST_ALONE}")
    return Changed("false", f"{_instead(LIGER, OWN_MODULES)} ({machine.why_not_liger})")


def _is_known(key: str, release: Release) -> bool:
    """Also a key inside of an option that holds keys of its own, and one that holds known ones."""
    known, parts = release.options, key.split(".")
    above = [".".join(parts[:at]) for at in range(1, len(parts))]
    held = [name for name in above if name in known and not any(other.startswith(f"{name}.") for other in known)]
    return key in known or bool(held) or any(name.startswith(f"{key}.") for name in known)
