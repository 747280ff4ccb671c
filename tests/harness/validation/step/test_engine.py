"""What DeepSpeed and accelerate beneath a Trainer decide: in a file, or under a name that a release has for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.validation.read.configuration import Companion
from harness.validation.step.engine import of_accelerate
from tests.harness.validation import written
from tests.harness.validation.written import part, row


def test_a_warmup_of_deepspeed_beats_the_trainers_schedule(tmp_path: Path) -> None:
    told = written.factory(tmp_path, {**written.ENGINE, **written.WARMUP}, rows=1600, weight_decay=0.1)
    assert part(told, "schedule").configured == "a warm-up of 10 % of the steps from 0, by its logarithm, then constant"
    assert part(told, "schedule").by == "scheduler WarmupLR in ds.json, over lr_scheduler_type cosine"
    assert part(told, "decay").configured == "0.1 of all parameters, norms and biases too"
    assert told.rates[-1].rate == 2e-5


@pytest.mark.parametrize(("version", "said"), [("0.18.9", "none"), ("0.19.8", "at a norm of 1")])
def test_a_clip_that_deepspeed_loses(tmp_path: Path, version: str, said: str) -> None:
    engine = {key: value for key, value in written.ENGINE.items() if key != "gradient_clipping"}
    words = [str(written.file(tmp_path, "sft.yaml", {**written.FACTORY, "max_grad_norm": 0.3}))]
    told = written.of(*words, beside=(written.file(tmp_path, "ds.json", engine),), deepspeed=version)
    assert part(told, "clipping").configured == said
    assert "over max_grad_norm 0.3" in part(told, "clipping").by
    assert "0.19.3" in part(told, "clipping").by


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"gradient_accumulation_steps": 2}, "gradient_accumulation_steps 2 in ds.json is not the"),
        ({"gradient_clipping": 0.5}, "gradient_clipping 0.5 in ds.json is not the max_grad_norm of 1"),
        ({"train_batch_size": 64}, "train_batch_size 64 in ds.json is not the global batch of 16"),
        ({"bf16": {"enabled": False}}, "bf16.enabled false in ds.json"),
        ({"optimizer": {"type": "AdamW", "params": {"lr": 1e-3}}}, "optimizer.params.lr 0.001 in ds.json"),
    ],
)
def test_what_deepspeed_contradicts_the_trainer_refuses(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    told = written.factory(tmp_path, {**written.ENGINE, **changed})
    assert [each for each in told.refused if said in each]
    assert not written.factory(tmp_path, written.ENGINE).refused


def test_an_accumulation_that_deepspeed_does_not_have(tmp_path: Path) -> None:
    engine = {key: value for key, value in written.ENGINE.items() if key != "gradient_accumulation_steps"}
    assert "which accelerate takes for 1" in written.factory(tmp_path, engine).odd[0]


def test_accelerate_leaves_to_the_trainer_what_it_does_not_say(tmp_path: Path) -> None:
    made = of_accelerate(Companion("a.yaml", written.LAUNCHED))
    assert made is not None
    assert made.at("gradient_clipping") == "auto"
    beside = (written.file(tmp_path, "a.yaml", written.LAUNCHED),)
    told = written.of(str(written.file(tmp_path, "sft.yaml", written.TRL)), beside=beside, world=None)
    assert part(told, "global batch").configured.endswith("4 ranks = 64 sequences")
    assert part(told, "clipping").configured == "at a norm of 0.5"
    assert row(told, "deepspeed_config.zero_stage").word == "kept"


def test_deepspeeds_configuration_may_be_missing(tmp_path: Path) -> None:
    told = written.factory(tmp_path, deepspeed="there/ds.json")
    assert told.missing == ["there/ds.json: what it decides is not told; give it by --with"]
    assert row(told, "deepspeed").word == "kept"


@pytest.mark.parametrize(
    ("name", "below", "ranks"), [("zero2", True, 8), ("zero3", True, 8), ("fsdp2", False, 8), ("multi_gpu", False, 8)]
)
def test_trl_has_names_for_configurations_of_accelerate(name: str, below: bool, ranks: int) -> None:
    told = written.of("trl", "sft", "--accelerate_config", name, "--learning_rate", "1e-5", world=None)
    assert not told.missing
    assert not told.refused
    assert (told.below is not None) == below
    assert f"{ranks} ranks" in part(told, "global batch").configured
    said = next(one for one in told.ledger if one.key == "distributed_type")
    assert said.source == f"{name} of trl 1.16.0"


def test_trl_hands_what_accelerate_knows_to_it(tmp_path: Path) -> None:
    own = str(written.file(tmp_path, "sft.yaml", {**written.TRL, "accelerate_config": "zero1", "num_processes": 4}))
    told = written.of("trl", "sft", "--config", own, world=None)
    assert "4 ranks" in part(told, "global batch").configured
    assert not any("options that it does not know" in said for said in told.refused)
    assert written.of("trl", "sft", "--accelerate_config", "zero4").missing


def test_a_name_of_packing_tells_the_release() -> None:
    told = written.of("python", "sft.py", "--packing", "--packing_strategy", "ffd", "--assistant_only_loss", "true")
    assert told.release == "trl 0.19.1"


def test_ms_swift_has_names_for_configurations_of_deepspeed() -> None:
    """As its release ships them; an own file is not one of them."""
    told = written.of("swift", "sft", "--deepspeed", "zero2_offload", "--max_grad_norm", "0.5")
    assert not told.missing
    assert told.below is not None
    device = next(one for one in told.ledger if one.key == "zero_optimization.offload_optimizer.device")
    assert (device.value, device.source) == ("cpu", "zero2_offload of ms-swift 4.6.0")
    assert part(told, "clipping").configured == "at a norm of 0.5"
    assert part(told, "dtypes").by == "bf16 under DeepSpeed, zero2_offload of ms-swift 4.6.0"
    assert written.of("swift", "sft", "--deepspeed", "zero4").missing
