"""What is known upstream: which entries are of a run, by its framework, what lies under it, and the scenario."""

from __future__ import annotations

import pytest

import scenarios
from adapters.contract import vary
from harness.judging.diagnosis import upstream
from harness.judging.diagnosis.upstream import UpstreamCause
from harness.traces.text_files import Header
from harness.verdicts.findings import Diagnosis

CAUSE = "mean-of-means"


def header(framework: str = "trl", version: str = "0.12.2", **packages: str) -> Header:
    return Header.model_validate(
        {
            "framework": framework,
            "version": version,
            "adapter": "adapters.fake",
            "scenario": {},
            "scenario_hash": "0",
            "ranks": 2,
            "packages": packages,
        }
    )


def entry(**change: object) -> UpstreamCause:
    fields = {
        "package": "transformers",
        "versions": "<4.54",
        "cause": CAUSE,
        "since": "ever",
        "until": "4.54",
        "why": "so it is",
        "remedy": "update",
        "links": ["https://example.org"],
    }
    return UpstreamCause.model_validate(fields | change)


def diagnosis(cause: str = CAUSE, telling: str = "rank", measured: tuple[str, ...] = ()) -> Diagnosis:
    return Diagnosis(cause, "so it is", 1.0, (), "", kind=f"{cause}: {telling}", measured=measured)


def plain() -> upstream.Where:
    return upstream.of_scenario(header(transformers="4.46.3"), scenarios.get("sft-ragged"))


def test_what_nobody_knows_of_a_run_fits_no_entry_that_asks_for_it() -> None:
    some = upstream.Where("trl", {"transformers": "4.46.3"}, {"sharding": "zero2"})
    assert entry(sharding=["zero2"]).fits(some, diagnosis())
    assert not entry(sharding=["zero2"], offload=False).fits(some, diagnosis())


def fits(known: UpstreamCause, of: Header, scenario: str = "sft-ragged") -> bool:
    return known.fits(upstream.of_scenario(of, scenarios.get(scenario)), diagnosis())


def test_an_entry_may_be_of_a_package_underneath() -> None:
    assert fits(entry(), header(transformers="4.46.3"))
    assert not fits(entry(), header(transformers="4.57.1"))
    assert not fits(entry(), header())


def test_a_package_is_known_however_its_name_is_written() -> None:
    assert fits(entry(package="liger-kernel", versions="<0.4"), header(liger_kernel="0.3.1"))


def test_an_entry_may_be_of_one_way_to_compute_the_loss() -> None:
    liger = vary(scenarios.get("sft-ragged"), implementation="liger")
    assert entry(implementation="liger").fits(upstream.of_scenario(header(transformers="4.46.3"), liger), diagnosis())
    assert not fits(entry(implementation="liger"), header(transformers="4.46.3"))


def test_a_frameworks_own_version_counts_not_what_is_installed_under_its_name() -> None:
    own = entry(package="trl", versions="<1")
    assert fits(own, header(trl="1.16.0"))
    assert not fits(own, header(version="1.16.0", trl="0.12.2"))


@pytest.mark.parametrize(
    ("change", "scenario", "fit"),
    [
        ({"under": ["trainer"]}, "sft-ragged", True),
        ({"under": ["verl"]}, "sft-ragged", False),
        ({"sharding": ["zero2"]}, "sft-ragged-zero2", True),
        ({"sharding": ["zero2"]}, "sft-ragged", False),
        ({"offload": True}, "sft-ragged-zero2-offload", True),
        ({"offload": True}, "sft-ragged-zero2", False),
        ({"row_format": "prompt-completion"}, "sft-ragged-pairs", True),
        ({"row_format": "prompt-completion"}, "sft-ragged", False),
        ({"default_system": True}, "sft-ragged-bos", True),
        ({"default_system": True}, "sft-ragged", False),
        ({"processor": True}, "sft-ragged-processor", True),
        ({"processor": True}, "sft-ragged", False),
        ({"moving_rate": True}, "sft-ragged-warmup", True),
        ({"moving_rate": True}, "sft-ragged", False),
        ({"precision": "bf16"}, "sft-ragged-bf16", True),
        ({"precision": "bf16"}, "sft-ragged", False),
    ],
)
def test_an_entry_is_of_the_scenarios_it_names(change: dict[str, object], scenario: str, fit: bool) -> None:
    assert fits(entry(**change), header(transformers="4.46.3"), scenario) is fit


def test_another_cause_is_another_matter() -> None:
    other = diagnosis("gradient-scale", "GA")
    assert not entry().fits(plain(), other)


@pytest.mark.parametrize(
    ("told", "measured", "fit"),
    [("rank", (), True), ("micro-batch", (), False), ("micro-batch", ("micro-batch", "rank"), True)],
)
def test_what_was_measured_of_the_cause_counts(told: str, measured: tuple[str, ...], fit: bool) -> None:
    """By any name that it has in the scenario: with one micro-batch a step, each rank's mean is each micro-batch's."""
    found = diagnosis(telling=told, measured=measured)
    assert entry(measured=["rank"]).fits(plain(), found) is fit


def test_an_entry_may_take_another_package_beside_its_own() -> None:
    own = entry(package="trl", versions="<0.27.1", beside={"transformers": ">=5"})
    assert fits(own, header(version="0.27.0", transformers="5.0.0"))
    assert not fits(own, header(version="0.27.0", transformers="4.57.1"))
    assert not fits(own, header(version="0.27.0"))


@pytest.mark.parametrize(
    ("found", "of", "scenario", "since"),
    [
        # On one rank no rank averages means, so it is not the option that was left off.
        (("mean-of-means", "micro-batch", ("micro-batch", "micro-step", "row")), "4.48.0", "sft-ragged", "4.48.0"),
        (("gradient-scale", "GA", ()), "4.48.1", "sft-ragged", "4.48.0"),
        (("gradient-scale", "GA", ()), "4.47.0", "sft-ragged", "4.47.0"),
        (("gradient-scale", "GA", ()), "4.47.1", "sft-ragged", None),
        (("rank-desync", "rank-desync", ()), "4.46.2", "sft-ragged", "4.46.2"),
        (("rank-desync", "rank-desync", ()), "4.46.3", "sft-ragged", None),
        (("mean-of-means", "rank", ()), "4.48.2", "sft-ragged", "4.46.0"),
        (("mean-of-means", "micro-batch", ()), "4.45.2", "sft-ragged", "ever"),
        (("mean-of-means", "micro-batch", ()), "4.49.0", "sft-ragged", None),
        (("gradient-scale", "GA", ()), "4.48.2", "sft-ragged", None),
        (("loss-mask", "as-marked", ()), "5.0.0", "sft-ragged-pairs", "5.0.0"),
        (("loss-mask", "as-marked", ()), "4.57.1", "sft-ragged-pairs", None),
        (("gradient-scale", "GA", ()), "4.46.3", "sft-ragged-gpt2", "4.46.0"),
        (("gradient-scale", "GA", ()), "4.46.3", "sft-ragged", None),
        (("mean-of-means", "micro-batch", ()), "4.48.2", "sft-ragged-gpt2", "4.46.0"),
        (("mean-of-means", "micro-batch", ()), "4.48.3", "sft-ragged-gpt2", None),
        (("soft-cap", "scores", ()), "4.48.0", "sft-ragged-gemma", "4.48.0"),
        (("soft-cap", "scores", ()), "5.20.0", "sft-ragged-gemma", "4.48.0"),
        (("soft-cap", "logits", ()), "5.20.0", "sft-ragged-gemma", None),
        (("soft-cap", "scores", ()), "5.21.0", "sft-ragged-gemma", None),
    ],
)
def test_what_is_shipped_is_told_apart_by_what_was_measured(
    found: tuple[str, str, tuple[str, ...]], of: str, scenario: str, since: str | None
) -> None:
    known = upstream.find(
        upstream.of_scenario(header(version="0.27.0", transformers=of), scenarios.get(scenario)), diagnosis(*found)
    )
    assert (known is None) is (since is None)
    assert known is None or since is None or since in known.since


def test_a_version_that_is_none_fits_nothing() -> None:
    assert not fits(entry(package="trl", versions=">=0"), header(version="simulated"))


def test_every_shipped_entry_can_be_read() -> None:
    assert {known.package for known in upstream.entries()} >= {"deepspeed", "openrlhf", "transformers", "verl"}
    assert all("http" in known.sentence for known in upstream.entries())
