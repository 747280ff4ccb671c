"""Asking all environments, some at once, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from harness.environments import build
from harness.environments.build import BuildFailed, Environment
from harness.environments.installer import kill_all
from harness.environments.request import BadRequest
from harness.mismatch import asked
from harness.mismatch.asked import Job, NoAnswer
from harness.mismatch.measured import Run
from harness.mismatch.sources import Source
from harness.site.current import current

Note = Callable[[str], None]


@dataclass(frozen=True)
class Answered:
    """What came of one dtype of one environment."""

    runs: tuple[Run, ...]
    said: str
    """In a few words."""
    seconds: float
    """0 where it was there."""


def gather(
    job: Job, sources: Sequence[Source], dtypes: Sequence[str], root: Path, jobs: int, note: Note
) -> Iterator[Answered]:
    """Build what is not there yet in `root`, and ask for each dtype, one after the other where `jobs` is 1.

    In the order of sources and dtypes. Raises OSError.
    """
    with ThreadPoolExecutor(jobs) as pool:
        built = {source.module: pool.submit(_built, source, root, note) for source in sources}
        futures = [
            pool.submit(_asked, job, source, dtype, built[source.module].result)
            for source in sources
            for dtype in dtypes
        ]
        try:
            for future in futures:
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            kill_all()
            raise


def _built(source: Source, root: Path, note: Note) -> Environment | str:
    """The environment, or in one line why there is none."""
    try:
        return build.ensure(current().own(source.request).resolved(), root, note)
    except (BuildFailed, BadRequest) as error:
        return str(error)


def _asked(job: Job, source: Source, dtype: str, built: Callable[[], Environment | str]) -> Answered:
    environment = built()
    if isinstance(environment, str):
        return _unknown(source, dtype, None, environment, 0.0)
    begun = time.monotonic()
    found = asked.kept(job, source, dtype, environment)
    seconds = 0.0
    if found is None:
        try:
            found = asked.ask(job, source, dtype, environment)
        except NoAnswer as error:
            return _unknown(source, dtype, environment.version, str(error), time.monotonic() - begun)
        seconds = time.monotonic() - begun
    runs = tuple(replace(run, tensors=found[run.way.name]) for run in _runs(source, dtype, environment.version, None))
    return Answered(runs, "measured" if seconds else "was there", seconds)


def _unknown(source: Source, dtype: str, version: str | None, reason: str, seconds: float) -> Answered:
    return Answered(_runs(source, dtype, version, reason), f"unknown: {reason}", seconds)


def _runs(source: Source, dtype: str, version: str | None, reason: str | None) -> tuple[Run, ...]:
    framework = source.request.framework
    return tuple(Run(way, framework, version, dtype, None, reason) for way in source.having(dtype))
