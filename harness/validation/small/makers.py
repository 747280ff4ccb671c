"""Who makes small runs of which family, and in which environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.validation.known.options import Options
from harness.validation.read.configuration import Family
from harness.validation.small import llamafactory, openrlhf, script, swift, trl, verl
from harness.validation.small.kept import Kept
from harness.validation.small.own import Column
from harness.validation.small.place import Place, Small
from harness.validation.small.runs import Run


@dataclass(frozen=True)
class Maker:
    """Of a family."""

    framework: str
    """Whose environment it has."""
    small: Callable[[Kept, Run, Place], Small]
    columns: Callable[[Options], Sequence[Column]]
    """What it reads of the user's own rows. Raises BadConfiguration."""


MAKERS: Mapping[Family, Maker] = {
    "trl": Maker(trl.FRAMEWORK, trl.small, trl.columns),
    "trainer": Maker(script.FRAMEWORK, script.small, script.columns),
    "axolotl": Maker(script.FRAMEWORK, script.small, script.columns),
    "ms-swift": Maker(swift.FRAMEWORK, swift.small, script.columns),
    "llamafactory": Maker(llamafactory.FRAMEWORK, llamafactory.small, llamafactory.columns),
    "openrlhf": Maker(openrlhf.FRAMEWORK, openrlhf.small, openrlhf.columns),
    "verl": Maker(verl.FRAMEWORK, verl.small, verl.columns),
}
