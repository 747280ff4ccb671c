"""Commands of the documentation that are run as they stand by `tests/frameworks/test_docs.py`."""

from __future__ import annotations

OFFLOAD = "'deepspeed==0.18.9/sft-ragged-zero2-offload'"

RUN = {
    "make setup": 0,
    "lockstep list scenarios": 0,
    "lockstep list frameworks": 0,
    "lockstep list dimensions": 0,
    "lockstep list matrices": 0,
    "lockstep list faults": 0,
    "lockstep list findings": 0,
    "lockstep list fixes": 0,
    "lockstep doctor": 0,
    "lockstep env build trl==1.16.0": 0,
    "lockstep env list": 0,
    "lockstep env prune --older-than 30": 0,
    "lockstep run --framework deepspeed==0.18.9 --scenario 'sft-ragged-zero2*' --out DIR": 1,
    f"lockstep explain DIR {OFFLOAD}": 0,
    "lockstep judge DIR": 1,
    "lockstep judge DIR --write": 1,
    "lockstep compare TRACE TRACE...": 0,
    "lockstep report DIR": 0,
    "lockstep report DIR --format html --out PAGES --traces": 0,
    "lockstep report DIR --format terminal": 0,
    "lockstep report DIR --format markdown --out summary.md": 0,
    'lockstep report DIR --format markdown --out "$GITHUB_STEP_SUMMARY"': 0,
    "lockstep report DIR --format junit --out lockstep.xml": 0,
    "lockstep report DIR --format github": 0,
    "lockstep report DIR --format tensorboard --out events": 0,
    "lockstep report DIR --format wandb --out tracked": 0,
    "lockstep history deepspeed": 0,
    "lockstep history --html trend.html": 0,
    "lockstep history deepspeed --scenario 'sft-ragged*' --html trend.html": 0,
    "lockstep run --framework torch --scenario sft-ragged --fault drop-intermediate": 1,
    "lockstep run --framework torch --framework ddp --scenario sft-equal --out .runs/new": 0,
    "lockstep explain .runs/new ddp": 0,
    "lockstep compare .runs/new/cells/torch-2.13.0/sft-equal .runs/new/cells/ddp-2.13.0/sft-equal": 0,
    "make gpu-check": 2,
}
"""In their order, for some need what others leave, with the exit status that each must have."""


def of_the_run(text: str) -> bool:
    """Whether it makes the run in DIR, or needs what that leaves: its folder, a trace, the history."""
    return any(word in text for word in ("DIR", "TRACE", "history"))
