"""A script of the user's own around the Trainer of transformers, whose arguments are known; its own are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.validation.known.options import Options
from harness.validation.known.releases import Release
from harness.validation.readers import trainer
from harness.validation.step.effective import Effective

PACKAGES = ("transformers",)
NAMES: Mapping[str, str] = {}


def step(options: Options, below: Release | None, ranks: int | None) -> Effective:
    """Raises BadConfiguration."""
    found = trainer.step(options, below, ranks)
    program = options.configuration.program
    said = f"which tokens are trained, how rows become tokens and how losses are averaged: {program} decides that"
    because = {
        **found.because,
        "trained": f"the labels that {program} makes",
        "aggregation": f"the Trainer, unless {program} has a loss of its own",
    }
    return replace(found, trained="as-marked", because=because, not_covered=(*found.not_covered, said))
