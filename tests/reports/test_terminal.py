"""What a stranger reads after a run, at several widths, colours off."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from harness.verdicts.verdict import CellRecord, DiagnosisRecord, FindingRecord, Outcome, Verdict
from reports import terminal, words

SCENARIOS = ("sft-ragged", "sft-ragged-zero2", "sft-ragged-zero2-offload")

DROPPED = DiagnosisRecord(
    cause="dropped-micro-batches",
    summary="Micro-batches 1 and 2 of 4 never reached the optimizer, on both ranks (first and last did).",
    explains=0.99996,
    codes=["weights.dropped-micro-batches", "grad-norm.value", "update.clip"],
    evidence="weights x N of micro-batches 0..3: 1.0000, 0.0000, 0.0000, 1.0000",
    upstream="DeepSpeed 0.15.2 to 0.18.9 with ZeRO-2 and optimizer offload "
    "(brought by https://github.com/deepspeedai/DeepSpeed/pull/6550, mended in 0.19.0 by "
    "https://github.com/deepspeedai/DeepSpeed/pull/7967)",
    remedy="use DeepSpeed 0.19.0 or newer, or turn the offload off",
)
SCALE = DiagnosisRecord(
    cause="scale",
    summary="The gradient is 1/4 of what it should be: 1/gradient_accumulation_steps.",
    explains=1.0,
    codes=["weights.scale"],
    evidence="all weights x N are 0.2500 (spread 1e-6)",
)


def finding(code: str, step: int, message: str = "got this, expected that") -> FindingRecord:
    return FindingRecord(code=code, step=step, message=message)


def cell(framework: str, version: str, scenario: str, verdict: Outcome = "pass", **more: object) -> CellRecord:
    return CellRecord.model_validate(
        {"framework": framework, "version": version, "scenario": scenario, "verdict": verdict, **more}
    )


def render(verdict: Verdict, width: int = 80, folder: str = ".runs/one") -> str:
    out = io.StringIO()
    terminal.show(verdict, folder, Console(file=out, width=width))
    return out.getvalue()


def mixed() -> Verdict:
    dropped = [finding(code, step) for step in range(3) for code in DROPPED.codes]
    return Verdict(
        complete=True,
        cells=[
            *(cell("torch", "2.13.0", s) for s in SCENARIOS),
            cell("deepspeed", "0.18.9", "sft-ragged"),
            cell(
                "deepspeed",
                "0.18.9",
                "sft-ragged-zero2",
                "fail",
                diagnoses=[SCALE],
                findings=[
                    finding("weights.scale", 0),
                    finding("weights.scale", 2),
                    finding("loss.value", 1, "loss is 4.91 at step 1, expected 4.87, allowed 1e-5"),
                    finding("loss.value", 2),
                ],
            ),
            cell("deepspeed", "0.18.9", "sft-ragged-zero2-offload", "fail", diagnoses=[DROPPED], findings=dropped),
            cell("deepspeed", "0.15.2", "sft-ragged", "unsupported", reason="deepspeed 0.15.2 has no [packing]"),
            cell("deepspeed", "0.15.2", "sft-ragged-zero2", "unknown", reason="rank 1 was killed by signal 9"),
            cell("deepspeed", "0.15.2", "sft-ragged-zero2-offload", "fail", diagnoses=[DROPPED], findings=dropped),
        ],
    )


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_mixed_run(snapshot: SnapshotAssertion, width: int) -> None:
    assert render(mixed(), width) == snapshot


def test_nothing_is_cut_off_at_eighty_columns() -> None:
    flat = " ".join(render(mixed()).split())
    for said in (DROPPED.summary, DROPPED.remedy, "deepspeed 0.15.2 has no [packing]", "signal 9"):
        assert said is not None
        assert said in flat
    assert max(len(line) for line in render(mixed()).splitlines() if "lockstep explain" not in line) <= 80


def test_commands_stay_on_one_line() -> None:
    text = render(mixed(), 60, "runs of/today")
    assert "  more: lockstep explain 'runs of/today' deepspeed==0.18.9/sft-ragged-zero2-offload\n" in text


def test_cells_with_one_cause_are_told_together() -> None:
    assert render(mixed()).count(DROPPED.remedy or "") == 1


def test_each_reason_why_something_is_unsupported_is_told_once_and_in_one_line() -> None:
    cells = [
        cell("trl", "0.12.2", f"sft-ragged-{name}", "unsupported", reason=f"trl 0.12.2 has no {what}")
        for name, what in (("packed", "packing"), ("zero2", "DeepSpeed"), ("zero3", "DeepSpeed"))
    ]
    lines = render(Verdict(cells=cells, complete=True), 200).splitlines()
    assert [line for line in lines if line.startswith("unsupported")] == [
        "unsupported  trl==0.12.2 on sft-ragged-packed: trl 0.12.2 has no packing",
        "unsupported  trl==0.12.2 on sft-ragged-zero2, sft-ragged-zero3: trl 0.12.2 has no DeepSpeed",
    ]


def test_the_widest_word_of_a_square_has_room() -> None:
    cells = [cell("trl", "0.12.2", "s", "unsupported", seed=seed) for seed in range(12)]
    others = [cell("trl", f"1.{minor}.0", "s", seed=seed) for minor in range(6) for seed in range(12)]
    text = render(Verdict(cells=cells + others, complete=True), 60)
    assert "12 unsupported" in text
    assert max(map(len, text.splitlines())) <= 60


@given(st.lists(st.sampled_from(sorted(words.WORDS)), min_size=1, max_size=7), st.integers(60, 200))
def test_no_square_of_any_table_is_cut_off(outcomes: list[Outcome], width: int) -> None:
    cells = [cell("verl", f"0.{n}", "sft-ragged-zero2-bare-loss", outcome) for n, outcome in enumerate(outcomes)]
    said = render(Verdict(cells=cells, complete=True), width)
    assert "\N{HORIZONTAL ELLIPSIS}" not in said
    assert all(words.WORDS[outcome] in said for outcome in outcomes)


def test_many_seeds(snapshot: SnapshotAssertion) -> None:
    cells = [cell("torch", "2.13.0", "sft-ragged", seed=s) for s in range(20)]
    wrong = [
        cell(
            "deepspeed",
            "0.18.9",
            "sft-ragged",
            "fail" if s in (1, 2, 3, 7) else "pass",
            seed=s,
            findings=[finding("weights.uneven", 0, "row 3 has weight 1.02")] if s in (1, 2, 3, 7) else [],
        )
        for s in range(20)
    ]
    assert render(Verdict(cells=cells + wrong, complete=True)) == snapshot


def test_many_releases_are_cut_into_parts(snapshot: SnapshotAssertion) -> None:
    cells = [cell("deepspeed", f"0.{minor}.0", "sft-ragged-zero2-offload") for minor in range(10, 20)]
    assert render(Verdict(cells=cells, complete=True)) == snapshot


def test_interrupted_and_empty(snapshot: SnapshotAssertion) -> None:
    assert render(Verdict()) == snapshot
    assert "0 cells; nothing was run: the run holds no cell" in render(Verdict(complete=True))


def test_no_colour_where_the_output_is_no_terminal() -> None:
    assert "\x1b" not in render(mixed())
