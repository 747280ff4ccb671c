"""Known divergences: what they cover, what they leave red, and that one which is gone is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

import scenarios
from adapters.contract import vary
from harness.environments import recipes
from harness.judging import accepted
from harness.judging.accepted import BadAccepted, Entry
from harness.verdicts.findings import CODES
from harness.verdicts.verdict import CellRecord, DiagnosisRecord, FindingRecord, Outcome
from scenarios import matrices

PACKAGES = {"trl": "1.16.0", "deepspeed": "0.18.9"}
LINK = "https://example.org/1"


def entry(**change: object) -> Entry:
    fields = {
        "framework": "trl",
        "versions": ">=1.0",
        "scenario": "sft-ragged*",
        "code": "weights.scale",
        "sentence": "it scales",
        "link": LINK,
    }
    return Entry.model_validate(fields | change)


def cell(*codes: str, verdict: Outcome | None = None, scenario: str = "sft-ragged") -> CellRecord:
    return CellRecord(
        framework="trl",
        version="1.16.0",
        scenario=scenario,
        verdict=verdict or ("fail" if codes else "pass"),
        findings=[FindingRecord(code=code, message="said") for code in codes],
    )


def test_a_covered_failure_is_known_and_says_why() -> None:
    settled = accepted.apply(cell("weights.scale", "weights.scale"), PACKAGES, [entry()])
    assert (settled.verdict, settled.reason) == ("accepted", f"it scales ({LINK})")
    assert len(settled.findings) == 2


def test_every_code_needs_an_entry() -> None:
    found = cell("weights.scale", "weights.mask")
    assert accepted.apply(found, PACKAGES, [entry()]).verdict == "fail"
    assert accepted.apply(found, PACKAGES, [entry(), entry(code="weights.mask")]).verdict == "accepted"


def test_a_patch_may_mend_what_is_known() -> None:
    entries = [entry(), entry(code="weights.mask", sentence="it masks")]
    assert accepted.apply(cell(), PACKAGES, entries, patched=True).verdict == "pass"
    rest = accepted.apply(cell("weights.mask"), PACKAGES, entries, patched=True)
    assert (rest.verdict, rest.reason) == ("accepted", f"it masks ({LINK})")
    assert accepted.apply(cell("weights.residual"), PACKAGES, entries, patched=True).verdict == "fail"


@pytest.mark.parametrize("found", [cell(), cell("weights.mask")])
def test_a_divergence_that_is_gone_fails_the_cell(found: CellRecord) -> None:
    settled = accepted.apply(found, PACKAGES, [entry(), entry(code="weights.mask")] if found.findings else [entry()])
    assert settled.verdict == "fail"
    assert settled.findings[-1].code == accepted.GONE
    assert "weights.scale is accepted for" in settled.findings[-1].message


@pytest.mark.parametrize(
    "other",
    [
        {"framework": "deepspeed"},
        {"versions": "<1.0"},
        {"scenario": "sft-equal"},
        {"packages": {"deepspeed": ">=0.19"}},
        {"packages": {"absent": ">=0"}},
    ],
)
def test_an_entry_for_something_else_changes_nothing(other: dict[str, object]) -> None:
    for found in (cell("weights.scale"), cell()):
        assert accepted.apply(found, PACKAGES, [entry(**other)]) == found


def test_an_entry_of_some_values_covers_scenarios_that_have_them() -> None:
    bf16 = vary(scenarios.get("sft-ragged"), compute="bf16")
    entries = [entry(where={"precision.compute": ["bf16", "fp16"], "optimizer.max_grad_norm": 1.0})]
    found = cell("weights.scale")
    assert accepted.apply(found, PACKAGES, entries, bf16).verdict == "accepted"
    assert accepted.apply(found, PACKAGES, entries, vary(bf16, max_grad_norm=None)).verdict == "fail"
    assert accepted.apply(found, PACKAGES, entries, scenarios.get("sft-ragged")).verdict == "fail"
    assert accepted.apply(found, PACKAGES, entries).verdict == "fail"
    none = [entry(where={"optimizer.max_grad_norm": "none"})]
    assert accepted.apply(found, PACKAGES, none, vary(bf16, max_grad_norm=None)).verdict == "accepted"


def test_a_cause_that_is_named_must_claim_the_finding() -> None:
    entries = [entry(cause="gradient-scale")]
    assert accepted.apply(cell("weights.scale"), PACKAGES, entries).verdict == "fail"
    for cause, verdict in (("gradient-scale", "accepted"), ("mean-of-means", "fail")):
        said = DiagnosisRecord(cause=cause, summary="s", explains=1.0, codes=["weights.scale"], evidence="e")
        found = cell("weights.scale").model_copy(update={"diagnoses": [said]})
        assert accepted.apply(found, PACKAGES, entries).verdict == verdict


def test_every_shipped_entry_of_some_values_covers_a_scenario() -> None:
    names = [name for size in matrices.sizes() for of in matrices.covering(size) for name in matrices.names(size, of)]
    every = [(name, scenarios.get(name)) for name in dict.fromkeys([*scenarios.CATALOGUE, *names])]
    for one in (e for e in accepted.load() if e.where):
        alone = one.model_copy(update={"versions": "", "packages": {}})
        covered = (CellRecord(framework=one.framework, version="1", scenario=name, verdict="fail") for name, _ in every)
        found = [alone.covers(c, {one.framework: "1"}, s) for c, (_, s) in zip(covered, every, strict=True)]
        assert any(found), one


def test_a_divergence_of_some_values_that_is_gone_names_them() -> None:
    entries = [entry(where={"precision.compute": "fp32"})]
    settled = accepted.apply(cell(), PACKAGES, entries, scenarios.get("sft-ragged"))
    assert "on sft-ragged* with precision.compute = 'fp32'" in settled.findings[-1].message


def test_packages_underneath_count() -> None:
    assert (
        accepted.apply(cell("weights.scale"), PACKAGES, [entry(packages={"deepspeed": "<0.19"})]).verdict == "accepted"
    )


@pytest.mark.parametrize("verdict", ["unknown", "unsupported"])
def test_what_was_not_judged_is_left_alone(verdict: Outcome) -> None:
    assert accepted.apply(cell(verdict=verdict), PACKAGES, [entry()]).verdict == verdict


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[[known]", "cannot be read"),
        ("[[accepted]]\nframework = 'trl'", "Field required"),
        ("accepted = 1", "accepted"),
        (
            '[[accepted]]\nframework="no"\nversions=">1"\nscenario="*"\ncode="x"\nsentence="s"\nlink="l"',
            "is no framework",
        ),
        (
            '[[accepted]]\nframework="trl"\nversions="1"\nscenario="*"\ncode="x"\nsentence="s"\nlink="l"',
            "version range",
        ),
        (
            '[[accepted]]\nframework="trl"\nversions=">1"\nscenario="*"\ncode="x"\nsentence="s"\nlink="l"',
            "lockstep list",
        ),
        (
            '[[accepted]]\nframework="trl"\nversions=">1"\nscenario="no*"\ncode="loss.value"\nsentence="s"\nlink="l"',
            "matches no scenario",
        ),
        (
            '[[accepted]]\nframework="trl"\nversions=">1"\ncode="loss.value"\nsentence="s"\nlink="l"\nwhere={"rate"=1}',
            "is no field of a scenario",
        ),
        (
            '[[accepted]]\nframework="trl"\nversions=">1"\ncode="loss.value"\nsentence="s"\nlink="l"\nwhere={"data.order"=1}',
            "is no value of data.order",
        ),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "accepted.toml"
    file.write_text(content)
    with pytest.raises(BadAccepted) as caught:
        accepted.load(file)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadAccepted, match="cannot be read"):
        accepted.load(tmp_path / "accepted.toml")


def test_the_shipped_file_names_frameworks_there_are() -> None:
    entries = accepted.load()
    assert {e.framework for e in entries} <= set(recipes.shipped().framework)
    assert {e.code for e in entries} <= set(CODES)


def test_the_shipped_file_is_of_newest_releases() -> None:
    """Those that a plain run takes: an entry for another one would never be missed."""
    newest = {name: of.newest for name, of in recipes.shipped().framework.items()}
    assert [e for e in accepted.load() if not SpecifierSet(e.versions).contains(newest[e.framework])] == []


def test_settled_twice_is_settled_by_the_last_list_alone() -> None:
    found = cell("weights.scale")
    settled = accepted.apply(found, PACKAGES, [entry()])
    assert accepted.apply(settled, PACKAGES, []) == found
    gone = accepted.apply(cell(), PACKAGES, [entry()])
    assert accepted.apply(gone, PACKAGES, []) == cell()
