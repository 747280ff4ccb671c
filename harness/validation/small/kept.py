"""Which options of a configuration a small run is given: those that are kept, and those that are swapped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from packaging.version import Version

from adapters.contract import LIGER
from harness.validation.known import ledger
from harness.validation.known.releases import Release
from harness.validation.read.configuration import Configuration, truth
from harness.validation.readers.families import READERS
from harness.validation.small.runs import Run

PLAIN_OPTIMIZER = "adamw_torch"
"""In the place of one whose moments nobody can read, so that its rates are told."""
_PLAIN = {"true": True, "false": False}


@dataclass(frozen=True)
class Kept:
    """They, by their keys, and the configuration that they are of."""

    configuration: Configuration
    release: Release | None
    values: Mapping[str, Any]

    liger: bool = False
    """Whether Liger's kernels are among them."""
    plain: Mapping[str, Any] = field(default_factory=dict)
    """Those that the run of the first steps has alone, with what another one has in their place."""

    def of(self, run: Run) -> Kept:
        """Those of that run."""
        if not run.plain:
            return self
        return replace(self, values={**self.values, **self.plain}, liger=self.liger and self.configuration.machine.cuda)

    def has(self, option: str) -> bool:
        """Whether this release has such an option."""
        return self.release is not None and option in self.release.options


def keep(configuration: Configuration, release: Release | None) -> Kept:
    """What is shrunk is left out: the framework's own part of this folder gives it. axolotl's keys get the names that
    the Trainer has for them."""
    reader = READERS[configuration.family]
    words, values, liger = reader.words, {}, False
    plain: dict[str, Any] = {}
    renamed = (
        {own: name for name, own in reader.names(configuration).items()} if configuration.family == "axolotl" else {}
    )
    for setting in configuration.settings:
        word, to, _ = ledger.judged(setting, words, release, None, configuration.machine)
        how = ledger.entry(setting.key, words)
        if word == "kept" and truth(setting.value) and how == ("swapped", "liger"):
            liger = True
            plain |= {} if configuration.machine.cuda else {setting.key: False}
        elif how == ("swapped", "optimizer") and ledger.by_bitsandbytes(str(setting.value)):
            plain[renamed.get(setting.key, setting.key)] = PLAIN_OPTIMIZER
        if word == "kept":
            values[renamed.get(setting.key, setting.key)] = setting.value
        elif word == "swapped" and to is not None:
            values[renamed.get(setting.key, setting.key)] = _PLAIN.get(to, to)
    return Kept(configuration, release, values, liger, plain)


BITSANDBYTES: Mapping[str, str] = {"bitsandbytes": "0.50.2"}
"""A release that has its optimizers for CPUs."""


BEFORE_5 = "0.5.10"
"""Of Liger, for transformers before 5: later ones ask for that."""


def needed(kept: Kept, transformers: str | None = None) -> Mapping[str, str]:
    """Packages that an environment has only where options ask for them, with their versions."""
    found = dict(LIGER) if kept.liger else {}
    if kept.liger and transformers is not None and Version(transformers) < Version("5"):
        found["liger-kernel"] = BEFORE_5
    if kept.configuration.machine.cuda:
        found.pop("triton", None)  # torch for CUDA has its own
    return {**found, **(BITSANDBYTES if ledger.by_bitsandbytes(str(kept.values.get("optim"))) else {})}
