"""The fixture `lockstep` of pytest: holds a training to what it should do, in the test suite of whoever trains.

Every pytest that runs where Lockstep is installed imports this file. So it imports neither torch nor anything that
judges before a test asks for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

import lockstep_recorder

if TYPE_CHECKING:
    from torch import nn

    from harness.intent.intent import Aggregation, Intent
    from harness.recordings.telling import Told
    from harness.recordings.weighing import Tokens


class Run:
    """A watched training. Ask it when its block has ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """The recording. `lockstep judge` tells all of it."""
        self._answers: dict[str, Any] = {}

    @property
    def told(self) -> Told:
        """What the watched steps did, what in it no objective does, and what is unknown."""
        __tracebackhide__ = True
        told: Told = self._asked("told")
        return told

    @property
    def weights(self) -> Mapping[int, Tokens]:
        """By optimizer step, its tokens with their weights; without the steps that could not be weighed."""
        __tracebackhide__ = True
        weights: Mapping[int, Tokens] = self._asked("weights")
        return weights

    def assert_right(self, *, allow_unknown: str | None = None) -> None:
        """Fail the test, with the diagnosis, if the steps did what no objective does, or if something is unknown.

        allow_unknown: regular expression. What is unknown in a sentence that it is found in does not fail the test.
        """
        __tracebackhide__ = True
        self._hold(self.told, allow_unknown)

    def assert_weights(
        self, intent: Intent | Aggregation | str | PathLike[str], *, allow_unknown: str | None = None
    ) -> None:
        """Fail the test unless every token weighs what it should.

        intent: an `Intent`, the file of one, or how losses are aggregated: `token`, `micro-batch`, `rank`,
            `micro-step` or `row`, for the mean over the tokens or over parts that are averaged by themselves.
        allow_unknown: as of `assert_right`.
        """
        __tracebackhide__ = True
        self._hold(self._asked("against", intent), allow_unknown)

    def _hold(self, told: Told, allow_unknown: str | None) -> None:
        __tracebackhide__ = True
        failure = _judge().failure(told, self.folder, allow_unknown)
        if failure is not None:
            pytest.fail(failure)

    def _asked(self, question: str, *more: object) -> Any:
        """What the recording answers, each question asked once. One that cannot be read fails the test."""
        __tracebackhide__ = True
        if more or question not in self._answers:
            judge, unreadable = _judge(), ""
            try:
                self._answers[question] = getattr(judge, question)(self.folder, *more)
            except judge.ERRORS as error:
                unreadable = str(error)
            if unreadable:  # not above, where pytest would show the error and all that led to it
                pytest.fail(f"lockstep: {unreadable}")
        return self._answers[question]


class Lockstep:
    """What the fixture hands out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()

    @contextmanager
    def watch(
        self,
        model: nn.Module,
        optimizer: Any = None,
        *,
        steps: Iterable[int] | None = None,
        every: int | None = None,
    ) -> Iterator[Run]:
        """Record the optimizer steps of the block, by default the first three, into a folder below `tmp_path`.

        Arguments are those of `lockstep_recorder.watch`. Raises ValueError if there is no language model in `model`.
        """
        __tracebackhide__ = True
        run = Run(self._folder / f"lockstep-{next(self._numbers)}")
        with lockstep_recorder.watch(model, optimizer, out=run.folder, steps=steps, every=every):
            yield run


@pytest.fixture
def lockstep(tmp_path: Path) -> Lockstep:
    """Watches trainings: `with lockstep.watch(model, optimizer) as run: ...`, then `run.assert_right()`."""
    return Lockstep(tmp_path)


def _judge() -> ModuleType:
    __tracebackhide__ = True
    missing = ""
    try:
        from harness.recordings import asserting
    except ImportError as error:
        missing = str(error)
    if missing:
        pytest.fail(f"lockstep: {missing}; is there another package called harness before Lockstep's?")
    return asserting
