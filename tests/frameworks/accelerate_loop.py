"""A plain loop with accelerate, as its documentation has it, and as people get it wrong. Nothing in it knows of
Lockstep.

accelerate_loop.py right|means|never-zeroed|twice
"""

from __future__ import annotations

import sys

import torch
from accelerate import Accelerator
from transformers import LlamaConfig, LlamaForCausalLM

KIND = sys.argv[1]
LENGTHS = (9, 40, 6, 25, 14, 4, 31, 12)
"""Tokens of the one text of each micro-batch, of both ranks in turn."""

torch.manual_seed(0)
model = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=2000, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, pad_token_id=0, eos_token_id=1,
    )
)  # fmt: skip
accelerator = Accelerator(cpu=True, gradient_accumulation_steps=4)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0 - step / 20)
model, optimizer = accelerator.prepare(model, optimizer)
model.train()
world, rank = accelerator.num_processes, accelerator.process_index
mine = LENGTHS[rank::world][:4]
trained = sum(length - 1 for start in range(world) for length in LENGTHS[start::world][:4])
for step in range(3):
    for length in mine:
        draw = torch.Generator().manual_seed(100 * step + length)
        ids = torch.randint(2, 2000, (1, length), generator=draw)
        with accelerator.accumulate(model):
            loss = model(input_ids=ids, labels=ids).loss
            if KIND != "means":
                loss = loss * (length - 1) * accelerator.gradient_accumulation_steps * world / trained
            accelerator.backward(loss)
            optimizer.step()
            if KIND != "never-zeroed":
                optimizer.zero_grad()
    for _ in range(2 if KIND == "twice" else 1):
        scheduler.step()
accelerator.end_training()
