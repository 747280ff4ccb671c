"""What must be said of a trace that is broken, by whatever means."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.judging.judge import judge
from harness.oracle.basis_cache import BasisCache
from harness.traces import reader
from harness.traces.text_files import UnreadableTrace
from harness.verdicts import verdict
from harness.verdicts.findings import Finding

REMEDIES = ("record it again", "upgrade lockstep", "copy the trace as files", "check its permissions")


def judged(folder: Path, bases: BasisCache) -> tuple[Finding, ...]:
    """What is found in a broken trace: never nothing, and each in one line."""
    findings = judge(folder, bases).findings
    assert findings
    assert all(f.message and "\n" not in f.message and len(f.message) < 1000 for f in findings)
    assert verdict.outcome(findings) in ("unknown", "fail")
    return findings


def read_all(folder: Path) -> None:
    found = reader.read(folder)
    for step in range(found.steps + 1):
        for rank in range(found.header.ranks):
            found.tensors(step, rank)


def unreadable(folder: Path, bases: BasisCache) -> str:
    """The one message of a trace that cannot be trusted."""
    (finding,) = judged(folder, bases)
    assert finding.code == "run.unreadable"
    assert any(remedy in finding.message for remedy in REMEDIES), finding.message
    assert verdict.outcome([finding]) == "unknown"
    with pytest.raises(UnreadableTrace):
        read_all(folder)
    return finding.message
