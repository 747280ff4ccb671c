"""Runs in a framework's environment: writes the checkpoint of each description, loads it, and tells what it met.

python written.py FOLDER OF DESCRIPTIONS, FOLDER FOR CHECKPOINTS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jinja2
import torch
import transformers

from adapters.given import checkpoint

TALK = [
    {"role": "user", "content": " How many?"},
    {"role": "assistant", "content": "<think>\ncount\n</think>\n\nTwo. "},
    {"role": "user", "content": "And then?"},
    {"role": "assistant", "content": "<think>\nagain\n</think>\n\nThree.\n"},
]
SYSTEM = [{"role": "system", "content": "Be short."}]


def rendered(tokenizer: Any, template: str | None) -> dict[str, str]:
    """What a template writes for each way to ask."""
    found = {}
    for name, messages, ahead in (("plain", TALK, False), ("ahead", TALK[:3], True), ("system", SYSTEM + TALK, False)):
        try:
            found[name] = tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=False, add_generation_prompt=ahead
            )
        except (jinja2.TemplateError, TypeError) as error:
            found[name] = f"refused: {type(error).__name__}"
    return found


def met(described: dict[str, Any], folder: Path) -> dict[str, Any]:
    checkpoint.write(described, folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).float()
    special = described["tokenizer"]["special"]
    text = "a b" + "".join(special) + "\n é"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    out = model(input_ids=torch.tensor([ids * 2]), labels=torch.tensor([ids * 2]))
    out.loss.backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    own, ours = tokenizer.chat_template, described["tokenizer"]["chat_template"]
    return {
        "specials": {token: tokenizer(token, add_special_tokens=False)["input_ids"] for token in special},
        "same": tokenizer.decode(ids) == text,
        "ids": {role: getattr(tokenizer, f"{role}_token_id") for role in ("bos", "eos", "pad", "unk")},
        "config": {role: getattr(model.config, f"{role}_token_id", None) for role in ("bos", "eos", "pad")},
        "first": tokenizer("a")["input_ids"][0],
        "side": tokenizer.padding_side,
        "rows": len(tokenizer) <= model.get_input_embeddings().weight.shape[0],
        "tied": model.get_input_embeddings().weight.data_ptr() == model.get_output_embeddings().weight.data_ptr(),
        "loss": out.loss.item(),
        "biases": sorted({name.split(".")[-2] for name in grads if name.endswith("_proj.bias")}),
        "still": sorted(name for name, grad in grads.items() if grad is None or not grad.isfinite().all()),
        "class": type(model).__name__,
        "dtype": str(transformers.AutoConfig.from_pretrained(folder).torch_dtype),
        "parameters": model.num_parameters(),
        "own": rendered(tokenizer, own) if own else None,
        "ours": rendered(tokenizer, ours) if ours else None,
    }  # fmt: skip


def main() -> None:
    descriptions, folder = map(Path, sys.argv[1:])
    found = {}
    for path in sorted(descriptions.glob("*.json")):
        try:
            found[path.stem] = met(json.loads(path.read_text()), folder / path.stem)
        except checkpoint.Unknown as error:
            found[path.stem] = {"unknown": str(error)}
    (folder / "met.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
