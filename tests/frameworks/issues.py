"""The scripts of docs/issues: the release that each shows to be wrong, and one that is right where there is one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.frameworks.recorded import environment

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "issues"


class Releases(NamedTuple):
    wrong: str
    right: str | None = None


TRANSFORMERS = "trl==1.16.0,transformers==5.24.0"
"""What the Trainer of the newest transformers is run in."""

ISSUES = {
    "accelerate-fsdp1-sharding": Releases("trl==1.16.0"),
    "accelerate-fsdp2-resume": Releases("llamafactory==0.9.5", "trl==1.16.0"),
    "deepspeed-accumulation": Releases("deepspeed==0.18.9", "deepspeed==0.19.8"),
    "deepspeed-adagrad": Releases("deepspeed==0.19.8"),
    "deepspeed-bf16-first-step": Releases("deepspeed==0.19.8"),
    "deepspeed-fp16-unscaled": Releases("deepspeed==0.19.8", "deepspeed==0.18.2"),
    "deepspeed-offload": Releases("deepspeed==0.18.9", "deepspeed==0.19.8"),
    "deepspeed-warmup-late": Releases("deepspeed==0.19.8"),
    "llamafactory-default-system": Releases("llamafactory==0.9.5"),
    "llamafactory-packed-first-token": Releases("llamafactory==0.9.5"),
    "ms-swift-label-smoothing": Releases("ms-swift==4.6.0"),
    "ms-swift-last-rows": Releases("ms-swift==4.6.0"),
    "openrlhf-gpt2-decay": Releases("openrlhf==0.11.2"),
    "transformers-accumulation": Releases("trl==1.0.0", TRANSFORMERS),
    "transformers-label-smoothing-fsdp2": Releases(TRANSFORMERS),
    "transformers-pad-eos-embedding": Releases(TRANSFORMERS),
    "transformers-resume-experts": Releases(TRANSFORMERS, "trl==0.23.1"),
    "transformers-resume-ranks": Releases(TRANSFORMERS),
    "verl-lost-epoch": Releases("verl==0.9.1"),
}

STAND_INS = {"llamafactory": "torchaudio", "openrlhf": "flash_attn"}
"""A package that a whole installation has, and the environments here do not: the framework imports it."""


def run(name: str, release: str, environments: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """A script as somebody with that release starts it, without what is set here for frameworks on a CPU."""
    built = environment(release, environments)
    variables = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "HF_HUB_OFFLINE": "1", "TMPDIR": str(folder)}
    if module := STAND_INS.get(built.framework):
        variables["PYTHONPATH"] = str(ROOT / "adapters" / "inside" / "stubbed" / module)
    command = [str(built.python), str(FOLDER / f"{name}.py")]
    environ = {**built.environ("cuda"), **variables}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=800)
