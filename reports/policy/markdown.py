"""Trainings with a mismatch in Markdown."""

from __future__ import annotations

from harness.policy.record import Experiment
from reports import claims
from reports.markdown import escaped, fenced, plain_table
from reports.policy import told


def page(found: Experiment) -> str:
    """All of it but the pictures."""
    parts = [f"# Mismatch in training: {escaped(told.summary(found))}", escaped(told.setting(found))]
    parts += ["\n".join(f"- {escaped(line)}" for line in found.broken)]
    if found.claims:
        parts += ["## What is claimed", claims.in_markdown(found.claims)]
    parts += ["## Mismatches and corrections", plain_table(told.EXPLAINED, told.explained(found))]
    parts += ["## Arms", plain_table(told.ARMS, told.arms(found))]
    parts += [fenced(found.command, "sh")]
    return "\n\n".join(filter(None, parts)) + "\n"
