"""A staircase at a terminal, in Markdown and as a page: numbers, claims and pictures; a framework commands nothing."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from io import StringIO

import pytest

from harness.commands.output import Console
from harness.seeds import ClaimRecord, Number
from harness.staircase.record import (
    ArmRecord,
    AttributionRecord,
    DifferenceRecord,
    FixRecord,
    Staircase,
    TrainingRecord,
)
from reports import claims
from reports.html import staircase as html
from reports.staircase import markdown, pictures, terminal, told
from tests.harmless import hidden


def trained(seed: int, accuracy: float) -> TrainingRecord:
    return TrainingRecord(
        seed=seed,
        state="trained",
        accuracy=accuracy,
        nll=1 - accuracy,
        loss=[1 / (step + 1 + seed) for step in range(40)],
        grad_norm=[2.0] * 40,
        norm=2.0,
        seconds=1.0,
    )


def arm(label: str, accuracy: float, **more: object) -> ArmRecord:
    given = {
        "role": "factorial",
        "steps": 40,
        "rows": 16,
        "flops": 10**12,
        "as_labelled": True,
        "weighed": "found is x",
    }
    trainings = [trained(seed, accuracy + seed / 100) for seed in range(2)]
    return ArmRecord.model_validate({"label": label, "trainings": trainings, **given, **more})


BAD = TrainingRecord(seed=0, state="unknown", reason="rank 0: \x1b[31mRuntimeError @nobody")
FOUND = Staircase(
    command="lockstep staircase --framework x",
    parameters=1000,
    held_out=10,
    seeds=[0, 1],
    effective=["16 rows a step"],
    differences=[DifferenceRecord(what="learning rate", arm="b", has="1", reference="a", wanted="2")],
    arms=[
        arm("a", 0.25),
        arm("b", 0.5, as_labelled=False),
        arm("c", 0.0, trainings=[BAD], flops=None, as_labelled=None, weighed=""),
    ],
    attributions=[
        AttributionRecord(
            metric="accuracy",
            gap=Number(mean=0.25, sd=0.01, low=0.2, high=0.3),
            fixes=[
                FixRecord(
                    fix="mend",
                    mends=["mean-of-means"],
                    brings=Number(mean=0.25, low=0.2, high=0.3),
                    share=Number(mean=1.0, low=0.8, high=1.2),
                )
            ],
            interaction=Number(mean=0.0, low=-0.1, high=0.1),
        )
    ],
    claims=[
        ClaimRecord(claim="the one", rule="rule one", supported=True, measured="0.9"),
        ClaimRecord(claim="the other", rule="rule two", supported=False, measured="0.1"),
    ],
)
SAID = (
    "25.5 % ± 0.7 %",
    "0.7450 ± 0.0071",
    "NOT AS LABELLED: found is x",
    "1 (0.8 to 1.2)",
    "supported",
    "NOT SUPPORTED",
    "b has another learning rate: 1, where a has 2",
    "3 arms with 2 seeds: 1 of 2 claims supported",
)


def at_terminal() -> str:
    out = StringIO()
    terminal.show(FOUND, Console(file=out, width=300, highlight=False, markup=False))
    return out.getvalue()


@pytest.mark.parametrize("text", SAID)
def test_every_face_says_it(text: str) -> None:
    assert text in at_terminal()
    assert text in markdown.page(FOUND).replace("\\", "")
    assert text in html.page(FOUND)


def test_what_a_framework_wrote_commands_nothing() -> None:
    assert "RuntimeError" in at_terminal()
    for page in (at_terminal(), markdown.page(FOUND), html.page(FOUND)):
        assert not hidden(page)
    assert "`@nobody`" in markdown.page(FOUND)


def test_pictures_are_svg_with_a_line_for_each_arm_that_was_trained() -> None:
    for picture in (pictures.loss(FOUND), pictures.grad_norm(FOUND), pictures.scores(FOUND)):
        ET.fromstring(picture)
    assert picture_labels(pictures.loss(FOUND)) >= {"a", "b", "step", "logged loss"}
    assert "c" not in picture_labels(pictures.loss(FOUND))


def picture_labels(picture: str) -> set[str]:
    return {each.text or "" for each in ET.fromstring(picture).iter() if each.tag.endswith("text")}


def test_nothing_is_drawn_of_what_a_framework_did_not_tell() -> None:
    silent = FOUND.model_copy(
        update={"arms": [one.model_copy(update={"trainings": [BAD]}) for one in FOUND.arms], "claims": []}
    )
    assert "svg" in html.page(silent)
    assert told.summary(silent).endswith("0 of 0 claims supported")


def test_one_seed_has_no_interval() -> None:
    assert claims.interval(1).startswith("There is one seed")
    assert claims.number(Number(mean=0.5)) == "0.5"
