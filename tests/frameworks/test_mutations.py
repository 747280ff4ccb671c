"""Good configurations with one thing changed in each, validated as a user does it: each change is told.

What is told by reading alone needs no run, but is told by a whole one all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.frameworks.validated import FACTORY, OFFLOAD, TRL, Done, validated
from tests.harness.validation import written

pytestmark = [pytest.mark.frameworks, pytest.mark.exhaustive, pytest.mark.timeout(900)]

Values = Mapping[str, Any]
SCALE = ("--world", "8", "--rows", "16000")


@dataclass(frozen=True)
class Good:
    """A configuration that is right."""

    values: Values
    engine: Values | None = None
    versions: str | None = None


GOOD = {
    "llamafactory": Good({**FACTORY, "weight_decay": 0.1}, written.ENGINE),
    "trl": Good({**TRL, "completion_only_loss": True}, None, "trl==1.16.0\n"),
}


@dataclass(frozen=True)
class Mutation:
    """What is changed in it; None leaves a key out."""

    told: tuple[str, ...]
    """What stands in the report, and not in that of the good one."""
    of: str = "llamafactory"
    values: Values = field(default_factory=dict)
    engine: Values = field(default_factory=dict)
    versions: str | None = None
    status: int = 0


RANKS = "recovered: a mean over the ranks, each averaged by itself"
NO_CLIP = "deepspeed does not clip before 0.19.3 where its configuration has no gradient_clipping"
MUTATIONS = {
    "accumulation-contradicted": Mutation(
        ("gradient_accumulation_steps 2 in ds.json is not the gradient_accumulation_steps of 4",),
        engine={"gradient_accumulation_steps": 2},
        status=1,
    ),
    "rate-contradicted": Mutation(
        ("optimizer.params.lr 0.001 in ds.json",),
        engine={"optimizer": {"type": "AdamW", "params": {"lr": 1e-3}}},
        status=1,
    ),
    "precision-contradicted": Mutation(
        ("bf16.enabled false in ds.json",), engine={"bf16": {"enabled": False}}, status=1
    ),
    "slip": Mutation(
        ("refuses options that it does not know: gradient_acumulation_steps",),
        values={"gradient_acumulation_steps": 4},
        status=1,
    ),
    "option-gone": Mutation(
        ("refuses options that it does not know: warmup_ratio",), "trl", {"warmup_ratio": 0.1}, status=1
    ),
    "no-accumulation-in-the-engine": Mutation(
        ("which accelerate takes for 1 beneath the Trainer's 4",),
        engine={"gradient_accumulation_steps": None},
        status=3,
    ),
    "scheduler-overridden": Mutation(
        ("by scheduler WarmupLR in ds.json, over lr_scheduler_type cosine", "the learning rate is late"),
        engine=written.WARMUP,
        status=1,
    ),
    "warmup-twice": Mutation(("over warmup_steps: ",), values={"warmup_steps": 300}),
    "warmup-too-long": Mutation(
        ("the warm-up has 300 steps and the training 200",),
        values={"warmup_ratio": None, "warmup_steps": 300, "max_steps": 200},
    ),
    "decay-on-norms": Mutation(
        ("0.1 of all parameters, norms and biases too",), engine={"optimizer": written.WARMUP["optimizer"]}
    ),
    "decay-on-the-last-norm": Mutation(
        ("instead of 0 applies to norms and biases", "use transformers>=4.53"),
        "trl",
        {"weight_decay": 0.1},
        versions="trl==0.18.1\n",
        status=1,
    ),
    "clip-lost": Mutation(
        (NO_CLIP, "recovered: none seen"), engine={"gradient_clipping": None}, versions="deepspeed==0.18.9\n"
    ),
    "clip-at-one": Mutation(
        (NO_CLIP,), values={"max_grad_norm": 0.3}, engine={"gradient_clipping": None}, versions="deepspeed==0.19.8\n"
    ),
    "offload-with-a-bad-release": Mutation(
        ("micro-batches 1 and 2 of 4 never reached the optimizer", "use deepspeed>=0.19.8"),
        engine=OFFLOAD,
        versions="deepspeed==0.18.9\n",
        status=1,
    ),
    "divided-twice": Mutation(
        ("the gradient is 1/4 of what it should be", "use transformers>=5.5.4"),
        "trl",
        versions="trl==0.29.0\ntransformers==5.3.0\n",
        status=1,
    ),
    "ranks-by-themselves": Mutation((RANKS,), "trl", {"average_tokens_across_devices": False}),
    "ranks-by-an-old-default": Mutation(
        (RANKS, "average_tokens_across_devices is False by default"), "trl", versions="trl==0.18.1\n"
    ),
    "prompts-trained": Mutation(
        ("recovered: all tokens, prompts too, as configured",), values={"train_on_prompt": True}
    ),
    "prompts-by-default": Mutation(
        ("recovered: all tokens, prompts too, as configured",), "trl", {"completion_only_loss": None}
    ),
    "another-template": Mutation(
        ("answers end with <|eot_id|>, those of the model's own template with <|im_end|>",),
        values={"template": "llama3"},
    ),
    "losses-by-probability": Mutation(
        ("times the target's own probability (DFT)",), values={"use_dft_loss": True}, status=3
    ),
    "another-optimizer": Mutation(("adafactor, whose rule no intent says",), "trl", {"optim": "adafactor"}),
    "adapters-at-two-rates": Mutation(
        ("times 16 of *lora_B*",), values={"finetuning_type": "lora", "lora_target": "all", "loraplus_lr_ratio": 16}
    ),
}  # fmt: skip


def changed(values: Values, by: Values) -> dict[str, Any]:
    return {key: value for key, value in {**values, **by}.items() if value is not None}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> dict[str, Done]:
    return {
        name: validated(
            tmp_path_factory.mktemp(name), environments, dict(one.values), one.engine, *SCALE, versions=one.versions
        )
        for name, one in GOOD.items()
    }


@pytest.mark.parametrize("name", GOOD)
def test_they_are_right(good: dict[str, Done], name: str) -> None:
    assert good[name].status == 0, good[name].printed + good[name].said
    assert not [part for part in good[name].record.plan.step if part.differs]


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_change_is_told(good: dict[str, Done], name: str, tmp_path: Path, environments: Path) -> None:
    mutation = MUTATIONS[name]
    base = GOOD[mutation.of]
    engine = None if base.engine is None else changed(base.engine, mutation.engine)
    versions = mutation.versions or base.versions
    done = validated(tmp_path, environments, changed(base.values, mutation.values), engine, *SCALE, versions=versions)
    assert done.status == mutation.status, done.printed + done.said
    for said in mutation.told:
        assert said in done.printed
        assert said not in good[mutation.of].printed
