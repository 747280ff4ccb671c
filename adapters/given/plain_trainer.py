"""The Trainer of transformers on rows with labels, for scripts of users' own: `plain_trainer ARGUMENTS.json`.

What such a script does by itself is not in it: it has the Trainer's arguments, the model and the rows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, HfArgumentParser, Trainer, TrainingArguments

from adapters.contract import IGNORED_LABEL


class Rows(torch.utils.data.Dataset[dict[str, list[int]]]):
    """Prompts and completions, of which the completions are trained."""

    def __init__(self, file: str, tokenizer: Any, longest: int) -> None:
        self._rows = []
        for line in Path(file).read_text().splitlines():
            told = json.loads(line)
            prompt = tokenizer(told["prompt"])["input_ids"]
            answer = [*tokenizer(told["completion"], add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
            labels = [IGNORED_LABEL] * len(prompt) + answer
            self._rows.append({"input_ids": [*prompt, *answer][:longest], "labels": labels[:longest]})

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        return self._rows[index]


def collated(rows: list[dict[str, list[int]]], pad: int) -> dict[str, torch.Tensor]:
    """Filled up on the right to the longest."""
    longest = max(len(row["input_ids"]) for row in rows)

    def filled(name: str, value: int) -> torch.Tensor:
        return torch.tensor([row[name] + [value] * (longest - len(row[name])) for row in rows])

    attended = [[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in rows]
    return {
        "input_ids": filled("input_ids", pad),
        "labels": filled("labels", IGNORED_LABEL),
        "attention_mask": torch.tensor(attended),
    }


def main() -> None:
    """Train as the arguments say."""
    told = json.loads(Path(sys.argv[1]).read_text())
    (arguments,) = HfArgumentParser(TrainingArguments).parse_dict(told["arguments"])
    tokenizer = AutoTokenizer.from_pretrained(told["model"])
    model = AutoModelForCausalLM.from_pretrained(told["model"], **({told["dtype"][0]: told["dtype"][1]}))
    if told["lora"]:
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(**told["lora"], task_type="CAUSAL_LM"))
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    rows = Rows(told["rows"], tokenizer, told["longest"])
    Trainer(model=model, args=arguments, train_dataset=rows, data_collator=lambda some: collated(some, pad)).train()


if __name__ == "__main__":
    main()
