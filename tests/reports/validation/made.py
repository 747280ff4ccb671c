"""Validations of every outcome, and text that means harm in every field of one."""

from __future__ import annotations

from io import StringIO
from typing import Any, get_args

from hypothesis import strategies as st

from harness.commands.output import console
from harness.validation.record import (
    CauseRecord,
    FindingRecord,
    KeyRecord,
    Outcome,
    PartRecord,
    Plan,
    RateRecord,
    RunRecord,
    ShimRecord,
    Validation,
    Word,
)
from reports.validation import terminal, told
from tests.reports.made import HOSTILE


def shown(found: Plan | Validation, **options: bool) -> str:
    """What is printed of it at a terminal, or where none is."""
    into = StringIO()
    terminal.show(found, console(file=into, width=100, **options))
    return into.getvalue()


FLASH = "attn_implementation = flash_attention_2: ran sdpa instead; a fault inside flash attention would not show"
ALWAYS = "whether conversations see each other, whatever mask the model received"
REMEDY = "use deepspeed>=0.19.8, or do without optimizer offload"


def plan(**more: Any) -> Plan:
    """With a key of each word, and two of those that are told in short."""
    ledger = [
        KeyRecord(key=f"key_{i}", value=f"v{i}", source="sft.yaml", word=word) for i, word in enumerate(told.ORDER)
    ]
    ledger += [KeyRecord(key="cutoff_len", value="4096", source="sft.yaml", word="shrunk", to="256", why="it is long")]
    step = [
        PartRecord(what="trained", configured="the responses", by="the default", recovered="the responses"),
        PartRecord(what="decay", configured="none", by="ds.json", recovered="0.1 of all", differs=True),
        PartRecord(what="length", configured="100 steps", by="max_steps"),
    ]
    given: dict[str, Any] = {
        "family": "trl", "started_by": "trl's own command", "release": "trl 1.16.0", "asked": None, "ledger": ledger,
        "step": step, "rates": [RateRecord(at="step 0", rate=0.0), RateRecord(at="step 50", rate=1e-5)],
        "odd": ["a warm-up is longer than the training"], "refused": [], "not_covered": [], "missing": ["ds.json"],
        "known": ["deepspeed 0.16.9 dropped-micro-batches"], "pinned_in": "uv.lock",
        "run": [],
    }  # fmt: skip
    return Plan.model_validate({**given, **more})


def run(**more: Any) -> RunRecord:
    given = {
        "name": "first", "says": "the first 3 steps", "steps": [0, 1, 2], "unknown": [],
        "sentences": ["steps 0, 1, 2: all weigh 1/90"], "open": [ALWAYS],
    }  # fmt: skip
    return RunRecord.model_validate({**given, **more})


def validation(outcome: Outcome = "pass", **more: Any) -> Validation:
    given: dict[str, Any] = {
        "plan": plan(), "outcome": outcome, "not_covered": [FLASH, ALWAYS], "findings": [], "causes": [],
        "runs": [run()], "model": "a Qwen3 of 2 layers", "environment": "trl==1.16.0",
        "packages": {"torch": "2.13.0", "trl": "1.16.0"},
        "shims": [ShimRecord(name="no-cuda", reason="there is none")],
        "command": "lockstep validate sft.yaml --world 8",
    }  # fmt: skip
    return Validation.model_validate({**given, **more})


def failing() -> Validation:
    code = "weights.dropped-micro-batches"
    findings = [
        FindingRecord(code=code, message=f"step {n}: micro-batch 1 of 4 is lost", run="first") for n in range(3)
    ]
    cause = CauseRecord(
        cause="dropped-micro-batches",
        says="micro-batch 1 of 4 never reached the optimizer",
        evidence="0 of 90 tokens weigh something",
        upstream="known since deepspeed 0.15.2 (https://github.com/deepspeedai/DeepSpeed/pull/6550)",
        remedy=REMEDY,
    )
    return validation("fail", findings=findings, causes=[cause])


def unknown() -> Validation:
    runs = [run(reason="rank 1 was killed", steps=[], sentences=[]), run(name="whole", unknown=["step 3 is not whole"])]
    return validation("unknown", runs=runs)


TEXTS = st.lists(HOSTILE, max_size=2)


@st.composite
def validations(draw: st.DrawFn) -> Validation:
    """Of which every text may mean harm."""
    key = st.builds(
        KeyRecord, key=HOSTILE, value=HOSTILE, source=HOSTILE, word=st.sampled_from(get_args(Word)),
        to=st.none() | HOSTILE, why=st.none() | HOSTILE,
    )  # fmt: skip
    part = st.builds(
        PartRecord, what=HOSTILE, configured=HOSTILE, by=HOSTILE, recovered=st.none() | HOSTILE, differs=st.booleans()
    )
    cause = st.builds(CauseRecord, cause=HOSTILE, says=HOSTILE, evidence=HOSTILE, upstream=HOSTILE, remedy=HOSTILE)
    ran = st.builds(
        run, name=HOSTILE, says=HOSTILE, sentences=TEXTS, unknown=TEXTS, open=TEXTS, reason=st.none() | HOSTILE
    )
    planned = plan(
        started_by=draw(HOSTILE), release=draw(st.none() | HOSTILE), asked=draw(st.none() | HOSTILE),
        below=draw(HOSTILE), ledger=draw(st.lists(key, max_size=3)), step=draw(st.lists(part, max_size=2)),
        odd=draw(TEXTS), rates=[RateRecord(at=draw(HOSTILE), rate=1.0)], refused=draw(TEXTS), missing=draw(TEXTS),
        run=draw(TEXTS), known=draw(TEXTS), captured=draw(st.none() | HOSTILE), pinned_in=draw(st.none() | HOSTILE),
    )  # fmt: skip
    return validation(
        draw(st.sampled_from(get_args(Outcome))), plan=planned, not_covered=draw(TEXTS), model=draw(HOSTILE),
        findings=draw(st.lists(st.builds(FindingRecord, code=HOSTILE, message=HOSTILE, run=HOSTILE), max_size=2)),
        causes=draw(st.lists(cause, max_size=2)), runs=draw(st.lists(ran, max_size=2)), command=draw(HOSTILE),
        environment=draw(HOSTILE), packages={draw(HOSTILE): draw(HOSTILE)},
        shims=[ShimRecord(name=draw(HOSTILE), reason=draw(HOSTILE))],
    )  # fmt: skip
