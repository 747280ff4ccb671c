"""A scenario as files: the checkpoint folder that every framework loads its model, tokenizer and data from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from adapters.contract import BOS, ROUTED, Model, Scenario, to_dict
from scenarios import lora, rendering, text, tokenizers, weights
from scenarios.architectures import FAMILIES


def config(model: Model, auxiliary: float = 0.0, pad: int | None = 0, bos: int | None = None) -> dict[str, Any]:
    """`config.json` as transformers reads it. auxiliary: the coefficient of the router's load-balancing loss; pad and
    bos: ids, None where the tokenizer has no such token."""
    routed = {"output_router_logits": auxiliary > 0, "router_aux_loss_coef": auxiliary}
    return {
        "model_type": model.architecture,
        "vocab_size": model.vocab_size,
        "hidden_size": model.hidden_size,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "max_position_embeddings": model.max_positions,
        "tie_word_embeddings": model.tied_embeddings,
        "pad_token_id": pad,
        "eos_token_id": text.SPECIAL.index(text.EOS),
        "bos_token_id": bos,
        "torch_dtype": "float32",
        "use_cache": False,
        **FAMILIES[model.architecture].config(model),
        **(routed if model.architecture in ROUTED else {}),
    }


PROCESSOR = {
    "processor_class": "LlavaProcessor",
    "image_processor_type": "CLIPImageProcessor",
    "size": {"shortest_edge": 32},
    "crop_size": {"height": 32, "width": 32},
}
"""`preprocessor_config.json` of a LLaVA checkpoint: one that transformers makes with Pillow alone, of any tokenizer."""


def write(scenario: Scenario, folder: Path) -> None:
    """Write model, tokenizer, processor if asked for, and `rows.jsonl` into `folder`.

    A row has messages, and their right ids, which of them are to be trained, and which are a response's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bos = scenario.tokenizer.vocabulary.index(BOS) if scenario.tokenizer.bos else None
    described = config(scenario.model, scenario.loss.auxiliary, tokenizers.pad_id(scenario), bos)
    files = {"config.json": described, **tokenizers.files(scenario)}
    if scenario.tokenizer.processor:
        files["preprocessor_config.json"] = PROCESSOR
        files["chat_template.json"] = {
            "chat_template": text.of_processor(files["tokenizer_config.json"]["chat_template"])
        }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    with (folder / "rows.jsonl").open("w") as out:
        every = zip(scenario.data.rows, rendering.rendered(scenario), rendering.trained(scenario), strict=True)
        for row, right, rendered in every:
            line = {
                "messages": [to_dict(m) for m in row],
                "input_ids": rendered.ids,
                "loss_mask": [int(m) for m in rendered.loss_mask],
                "response": [int(m) for m in right.loss_mask],
            }
            out.write(json.dumps(line) + "\n")
    initial = weights.initial(scenario.model, scenario.seed)
    own = FAMILIES[scenario.model.architecture].shapes(scenario.model)
    save_file({name: initial[name] for name in own}, folder / "model.safetensors", {"format": "pt"})
    lora.write(scenario.model, initial, folder / lora.FOLDER)
