"""A script on TRL whose loss forgets how many tokens the window has. Nothing in it knows of Lockstep.

forgetful_trl.py [CLIP]
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

WORDS = ["<pad>", "<eos>", "<unk>", *(f"w{i}" for i in range(1997))]
LENGTHS = (9, 40, 6, 25, 14, 4, 31, 12) * 3
draw = torch.Generator().manual_seed(3)


class Forgetful(SFTTrainer):
    """What the Trainer hands on is not divided by: neither here nor, as it was handed on, by the Trainer."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        outputs = model(**inputs)
        return (outputs.loss, outputs) if return_outputs else outputs.loss


tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
torch.manual_seed(0)
trainer = Forgetful(
    model=LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(WORDS), hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, pad_token_id=0, eos_token_id=1,
        )
    ),
    args=SFTConfig(
        output_dir="output", max_steps=3, per_device_train_batch_size=1, gradient_accumulation_steps=4,
        learning_rate=1e-3, bf16=False, use_cpu=True, ddp_backend="gloo", report_to="none", save_strategy="no",
        gradient_checkpointing=False, disable_tqdm=True, max_grad_norm=float(sys.argv[1]) if sys.argv[1:] else 0.0,
    ),
    train_dataset=Dataset.from_list(
        [{"text": " ".join(f"w{int(i)}" for i in torch.randint(0, 1997, (n,), generator=draw))} for n in LENGTHS]
    ),
    processing_class=PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    ),
)  # fmt: skip
trainer.train()
