"""Who makes small runs of which family, and in which environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.validation.configuration import Family
from harness.validation.small import llamafactory, openrlhf, script, swift, trl, verl
from harness.validation.small.kept import Kept
from harness.validation.small.place import Place, Small
from harness.validation.small.runs import Run


@dataclass(frozen=True)
class Maker:
    """Of a family."""

    framework: str
    """Whose environment it has."""
    small: Callable[[Kept, Run, Place], Small]


MAKERS: Mapping[Family, Maker] = {
    "trl": Maker(trl.FRAMEWORK, trl.small),
    "trainer": Maker(script.FRAMEWORK, script.small),
    "axolotl": Maker(script.FRAMEWORK, script.small),
    "ms-swift": Maker(swift.FRAMEWORK, swift.small),
    "llamafactory": Maker(llamafactory.FRAMEWORK, llamafactory.small),
    "openrlhf": Maker(openrlhf.FRAMEWORK, openrlhf.small),
    "verl": Maker(verl.FRAMEWORK, verl.small),
}
