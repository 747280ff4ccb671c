"""The families of configurations: which one a file or a program is of, and who reads it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from harness.validation.known.options import Options
from harness.validation.known.releases import Release
from harness.validation.read.bounded import BadConfiguration
from harness.validation.read.configuration import Configuration, Family
from harness.validation.readers import axolotl, llamafactory, openrlhf, script, swift, trl, verl
from harness.validation.step.effective import Effective

Step = Callable[[Options, Release | None, int | None], Effective]


@dataclass(frozen=True)
class Reader:
    """Who reads a family."""

    step: Step
    words: tuple[str, ...]
    """Groups of `words.toml`, its own first."""
    packages: Callable[[Configuration], tuple[str, ...]]
    """Whose table has its options."""
    names: Callable[[Configuration], Mapping[str, str]]
    programs: tuple[str, ...] = ()
    is_file: Callable[[Mapping[str, Any]], bool] | None = None
    whole_windows: bool = False
    """Whether the last window of an epoch is dropped where it is not full."""
    warmup_down: bool = False
    """Whether a warm-up by ratio is rounded down to whole steps, not up."""


READERS: Mapping[Family, Reader] = {
    "axolotl": Reader(
        axolotl.step,
        ("axolotl", "trainer"),
        lambda _: axolotl.PACKAGES,
        lambda _: axolotl.NAMES,
        axolotl.PROGRAMS,
        axolotl.is_file,
    ),
    "llamafactory": Reader(
        llamafactory.step,
        ("llamafactory", "trainer"),
        lambda _: llamafactory.PACKAGES,
        lambda _: llamafactory.NAMES,
        llamafactory.PROGRAMS,
        llamafactory.is_file,
    ),
    "trl": Reader(trl.step, ("trl", "trainer"), lambda _: trl.PACKAGES, lambda _: trl.NAMES, trl.PROGRAMS, trl.is_file),
    "ms-swift": Reader(
        swift.step, ("ms-swift", "trainer"), lambda _: swift.PACKAGES, lambda _: swift.NAMES, swift.PROGRAMS
    ),
    "openrlhf": Reader(
        openrlhf.step,
        ("openrlhf",),
        lambda _: openrlhf.PACKAGES,
        openrlhf.names,
        openrlhf.PROGRAMS,
        whole_windows=True,
    ),
    "verl": Reader(
        verl.step,
        ("verl",),
        lambda read: verl.packages(read.program),
        lambda _: verl.NAMES,
        verl.PROGRAMS,
        whole_windows=True,
        warmup_down=True,
    ),
    "trainer": Reader(script.step, ("trainer",), lambda _: script.PACKAGES, lambda _: script.NAMES),
}


def of_file(values: Mapping[str, Any], at: str) -> Family:
    """By its keys. Raises BadConfiguration."""
    for family, reader in READERS.items():
        if reader.is_file is not None and reader.is_file(values):
            return family
    raise BadConfiguration(
        f"{at} has no key that tells whose configuration it is: model_name_or_path (TRL), stage or finetuning_type"
        " (LLaMA-Factory), base_model (axolotl); of others give the command line"
    )


def of_program(program: str, keys: Collection[str]) -> Family:
    """By its name; a script of somebody's own is TRL's where it takes an option that only TRL has."""
    for family, reader in READERS.items():
        if any(program == name or program.endswith(f"/{name}") for name in reader.programs):
            return family
    return (
        "trl"
        if set(keys)
        & {
            "packing",
            "completion_only_loss",
            "assistant_only_loss",
            "max_seq_length",
            "dataset_mixture",
            "dataset_name",
        }
        else "trainer"
    )
