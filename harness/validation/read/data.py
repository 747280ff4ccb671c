"""The user's own rows: a file that is given, or one that the configuration names and that lies beside it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.validation.read import bounded, first_rows, within
from harness.validation.read.bounded import BadConfiguration
from harness.validation.read.configuration import Configuration, Data
from harness.validation.read.first_rows import PARQUET, SUFFIXES

KEYS: Mapping[str, tuple[str, ...]] = {
    "trl": ("dataset_name",),
    "openrlhf": ("dataset", "data.dataset"),
    "verl": ("data.train_files",),
    "llamafactory": ("dataset",),
}
"""What names the data, by family."""
INFO = "dataset_info.json"
MOST_FILES = 1000
"""Of a folder, among which rows are looked for."""


def given(path: Path, configuration: Configuration, folders: Sequence[Path]) -> Configuration:
    """With the rows of a file that the user names. Raises BadConfiguration."""
    if path.suffix.lower() not in SUFFIXES:
        raise BadConfiguration(f"--data {path} is no file of rows that is known: expected {', '.join(SUFFIXES)}")
    return _with(configuration, path, _entry(configuration, folders)[0])


def named(configuration: Configuration, folders: Sequence[Path]) -> Configuration:
    """With the rows of a file that it names itself, where that lies inside of one of these folders. Raises
    BadConfiguration."""
    name = configuration.value(*KEYS.get(configuration.family, ()))
    if configuration.family == "llamafactory":
        layout, root = _entry(configuration, folders)
        file, folders = layout.get("file_name"), [root] if root else []
    else:
        layout, file = {}, name[0] if isinstance(name, list) and len(name) == 1 else name
    place = _place(str(file), folders) if isinstance(file, str) and file else None
    return configuration if place is None else _with(configuration, place, layout)


def _with(configuration: Configuration, path: Path, layout: Mapping[str, Any]) -> Configuration:
    if path.suffix.lower() == PARQUET:
        first_rows.parquet(path)
        return replace(configuration, data=Data(path, None, layout))
    return replace(configuration, data=Data(path, first_rows.read(path), layout))


def _entry(configuration: Configuration, folders: Sequence[Path]) -> tuple[Mapping[str, Any], Path | None]:
    """What LLaMA-Factory's list of datasets says of the first one that is named, and where that list lies."""
    names = configuration.value("dataset")
    first = str((names[0] if isinstance(names, list) and names else names) or "").split(",")[0].strip()
    if configuration.family != "llamafactory" or not first:
        return {}, None
    inside = str(configuration.value("dataset_dir") or "data")
    for folder in folders:
        place = within.file(f"{inside}/{INFO}", [folder])
        entry = bounded.mapping(place).values.get(first) if place else None
        if place and isinstance(entry, dict):
            return entry, place.parent
    return {}, None


def _place(name: str, folders: Sequence[Path]) -> Path | None:
    """A file of rows, or that of a folder, that lies inside of one of these."""
    place = within.file(name, folders)
    if place is not None:
        return place if place.suffix.lower() in SUFFIXES else None
    return None if (place := within.folder(name, folders)) is None else _of_folder(place)


def _of_folder(place: Path) -> Path | None:
    """The first file of rows in it; one that is called after training comes before others."""
    some = itertools.islice(place.iterdir(), MOST_FILES)
    found = sorted(
        each for each in some if each.suffix.lower() in SUFFIXES and each.is_file() and not each.is_symlink()
    )
    return next((each for each in found if "train" in each.name), found[0] if found else None)
