"""What `lockstep doctor` says of the site file. What it names is looked at, and nothing of it is run."""

from __future__ import annotations

import os
from pathlib import Path

from harness.environments.probe import Probe
from harness.environments.request import PINS
from harness.site import current
from harness.site.place import NAME, VARIABLE
from harness.site.site import Site


def probes() -> list[Probe]:
    """The file, and a line for each of its keys."""
    site, path = current.current(), current.path()
    if path is None:
        return [Probe("site file", True, f"none: no --site, no {VARIABLE}, no {NAME} in this folder", required=False)]
    interpreters = [_interpreter(name, Path(where)) for name, where in site.frameworks.items()]
    return [Probe("site file", True, str(path.absolute())), *interpreters, *_keys(site)]


def _interpreter(name: str, path: Path) -> Probe:
    ok = path.is_file() and (os.access(path, os.X_OK) or path.suffix == PINS)
    return Probe(
        f"site: {name}", ok, str(path), "give the path of an interpreter, or of a file of pins", required=False
    )


def _keys(site: Site) -> list[Probe]:
    told = site.model_dump(exclude={"frameworks", "slurm"}, exclude_defaults=True, exclude_none=True)
    slurm = site.slurm.model_dump(exclude_defaults=True) if site.slurm else {}
    flat = told | {f"slurm.{key}": value for key, value in slurm.items()}
    return [Probe(f"site: {key}", True, _value(value), required=False) for key, value in flat.items()]


def _value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} = {_value(each)}" for key, each in value.items())
    return "; ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
