"""Measurements as a history keeps them."""

from __future__ import annotations

from typing import Any

from harness.history.store import Measurement
from harness.verdicts.verdict import DiagnosisRecord


def measurement(number: int, version: str, verdict: str, *kinds: str, day: int = 1, **more: Any) -> Measurement:
    """The `number`th of all, of deepspeed on sft-ragged, unless told otherwise."""
    diagnoses = [
        {"cause": kind, "kind": kind, "summary": "", "explains": 1.0, "codes": [], "evidence": ""} for kind in kinds
    ]
    fields = {
        "id": number,
        "scenario_hash": "s",
        "environment": "e",
        "harness": "h",
        "framework": "deepspeed",
        "version": version,
        "scenario": "sft-ragged",
        "verdict": verdict,
        "diagnoses": [DiagnosisRecord.model_validate(diagnosis) for diagnosis in diagnoses],
        "findings": (),
        "reason": None,
        "command": f"lockstep run --framework deepspeed=={version} --scenario sft-ragged",
        "seconds": 1.0,
        "measured": f"2026-11-{day:02d}T02:00:00+00:00",
    }
    return Measurement.model_validate({**fields, **more})
