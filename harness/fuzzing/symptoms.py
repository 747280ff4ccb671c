"""In which way a cell fails: a cause and every name that it has there, so that one cause is known in any scenario."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.session.parts import Judged
from harness.verdicts.findings import UNKNOWN_CODES, Diagnosis


@dataclass(frozen=True)
class Symptom:
    """One cause in one cell."""

    cause: str
    """Of a diagnosis; the codes of the findings where there is none."""
    names: frozenset[str]
    """What was measured of it: on one rank the mean of a micro-batch is that of a micro-step, and has both names."""
    diagnosis: Diagnosis | None = None

    @property
    def kind(self) -> str:
        return self.cause if self.diagnosis is None else self.diagnosis.kind

    def is_like(self, cause: str, names: Iterable[str]) -> bool:
        """Whether it may be the same one."""
        return self.cause == cause and not self.names.isdisjoint(names)


def symptoms(judged: Judged) -> tuple[Symptom, ...]:
    """Of a judged cell, in the order of its diagnoses; none if it is right, or if nothing was proved."""
    codes = sorted({finding.code for finding in judged.findings} - UNKNOWN_CODES)
    if not codes:
        return ()
    if not judged.diagnoses:
        return (Symptom("; ".join(codes), frozenset(codes)),)
    return tuple(Symptom(d.cause, frozenset(d.measured or (d.kind,)), d) for d in judged.diagnoses)


def like(found: Sequence[Symptom], cause: str, names: Iterable[str]) -> Symptom | None:
    """The first that may be the same one."""
    wanted = frozenset(names)
    return next((one for one in found if one.is_like(cause, wanted)), None)
