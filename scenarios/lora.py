"""Low-rank updates of a scenario's model: their matrices, drawn from the seed, and the folder that peft reads."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from adapters.contract import Lora, Model
from scenarios.text import uniforms

FOLDER = "lora"
"""Beside the checkpoint's own files."""
_STREAM = 104729  # keeps these draws apart from the weights' and the data's

Shapes = dict[str, tuple[int, ...]]


def shapes(lora: Lora | None, base: Shapes) -> Shapes:
    """Name and shape of every matrix, by the names that peft has in its files, for the parameters of a model."""
    result: Shapes = {}
    for name, shape in base.items():
        at, _, last = name.rpartition(".")
        if lora is None or last != "weight" or at.rpartition(".")[2] not in lora.targets:
            continue
        if at.endswith("embed_tokens"):
            result |= {f"{at}.lora_embedding_A": (lora.rank, shape[0]), f"{at}.lora_embedding_B": (shape[1], lora.rank)}
        else:
            result |= {f"{at}.lora_A.weight": (lora.rank, shape[1]), f"{at}.lora_B.weight": (shape[0], lora.rank)}
    return result


def initial(model: Model, base: Shapes, seed: int) -> dict[str, NDArray[np.float32]]:
    """All uniform with standard deviation `init_std`: B too, for A has no gradient where B is 0."""
    sizes = shapes(model.lora, base)
    draws = uniforms(_STREAM + seed, sum(math.prod(s) for s in sizes.values()))
    bound = model.init_std * 3.0**0.5
    result: dict[str, NDArray[np.float32]] = {}
    used = 0
    for name, shape in sizes.items():
        count = math.prod(shape)
        result[name] = (bound * (2.0 * draws[used : used + count].reshape(shape) - 1.0)).astype(np.float32)
        used += count
    return result


def config(lora: Lora) -> dict[str, Any]:
    """`adapter_config.json` as peft reads it."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": None,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "use_rslora": lora.rslora,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(lora.targets),
        "modules_to_save": list(lora.modules_to_save) or None,
        "inference_mode": False,
    }


def write(model: Model, weights: dict[str, NDArray[np.float32]], folder: Path) -> None:
    """The folder that `PeftModel.from_pretrained` reads, for weights as `scenarios.weights.initial` has them: the
    matrices, and the modules that are trained whole."""
    if model.lora is None:
        return
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(config(model.lora), indent=1, sort_keys=True) + "\n")
    kept = {f"base_model.model.{name}": w for name, w in weights.items() if model.trains(name)}
    save_file(kept, folder / "adapter_model.safetensors", {"format": "pt"})
