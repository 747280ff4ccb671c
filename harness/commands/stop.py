"""How a command ends early: one line for the user and an exit status."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

WRONG_USAGE = 2
UNKNOWN = 3
INTERRUPTED = 130


class Stop(Exception):
    """The command cannot go on. The message says what is wrong and what to do, in one line."""

    def __init__(self, message: str, status: int = WRONG_USAGE) -> None:
        super().__init__(message)
        self.status = status


STATUS: Mapping[str, int] = {
    # what was asked for cannot be had, or does not fit
    "harness.across.compare.NotComparable": WRONG_USAGE,
    "harness.bisection.point.BadLine": WRONG_USAGE,
    "harness.environments.patch.BadPatch": WRONG_USAGE,
    "harness.environments.request.BadRequest": WRONG_USAGE,
    "harness.environments.variables.BadVariable": WRONG_USAGE,
    "harness.intent.file.BadIntent": WRONG_USAGE,
    "harness.judging.accepted.BadAccepted": WRONG_USAGE,
    "harness.launch.multinode.machines.BadMachines": WRONG_USAGE,
    "harness.launch.sandbox.NoSandbox": WRONG_USAGE,
    "harness.launch.cluster.slurm.NoSlurm": WRONG_USAGE,
    "harness.mismatch.subject.BadSubject": WRONG_USAGE,
    "harness.nightly.canaries.BadCanaries": WRONG_USAGE,
    "harness.nightly.outbox.BadCommand": WRONG_USAGE,
    "harness.recordings.making.BadCommand": WRONG_USAGE,
    "harness.session.folder.BadFolder": WRONG_USAGE,
    "harness.session.plan.BadPlan": WRONG_USAGE,
    "harness.site.place.BadSite": WRONG_USAGE,
    "harness.staircase.arms.BadArm": WRONG_USAGE,
    "harness.validation.read.bounded.BadConfiguration": WRONG_USAGE,
    "reports.html.place.NotAReport": WRONG_USAGE,
    "scenarios.files.BadScenario": WRONG_USAGE,
    # nothing can be said
    "harness.bisection.measure.Impossible": UNKNOWN,
    "harness.bisection.record.UnreadableBisection": UNKNOWN,
    "harness.commands.streams.Unwritable": UNKNOWN,
    "harness.detection.record.UnreadableDetection": UNKNOWN,
    "harness.environments.installer.BuildFailed": UNKNOWN,
    "harness.environments.releases.NoReleases": UNKNOWN,
    "harness.fuzzing.record.UnreadableFuzz": UNKNOWN,
    "harness.history.store.BadHistory": UNKNOWN,
    "harness.launch.cluster.errands.Failed": UNKNOWN,
    "harness.launch.cluster.held.JobEnded": UNKNOWN,
    "harness.mismatch.record.UnreadableMismatch": UNKNOWN,
    "harness.nightly.outbox.BadOutbox": UNKNOWN,
    "harness.nightly.record.BadNight": UNKNOWN,
    "harness.policy.record.UnreadableExperiment": UNKNOWN,
    "harness.staircase.record.UnreadableStaircase": UNKNOWN,
    "harness.stock.record.BadStock": UNKNOWN,
    "harness.traces.text_files.UnreadableTrace": UNKNOWN,
    "harness.translating.meaning.NoMeaning": UNKNOWN,
    "harness.verdicts.verdict.UnreadableVerdict": UNKNOWN,
    "reports.wandb.NotTracked": UNKNOWN,
}
"""The exit status for every exception whose message is one line for the user, by the exception's place.

By name, because the command line imports what a command needs when it runs; an exception that was raised is imported.
"""


@contextmanager
def in_one_line() -> Iterator[None]:
    """What `STATUS` knows becomes a Stop; anything else is a fault of the harness and goes on as it is."""
    try:
        yield
    except Exception as error:
        for kind in type(error).__mro__:
            status = STATUS.get(f"{kind.__module__}.{kind.__qualname__}")
            if status is not None:
                raise Stop(str(error), status) from None
        raise


@contextmanager
def terminable() -> Iterator[None]:
    """Let a polite request to end (SIGTERM) do what Ctrl-C does: end every process and keep what was recorded."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
