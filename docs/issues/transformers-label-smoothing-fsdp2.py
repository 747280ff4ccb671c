"""Label smoothing under FSDP2: the Trainer does not shift labels, so every position learns to say its own token."""

import os
import sys
import tempfile

import torch
import transformers
from torch.distributed.fsdp import fully_shard
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
print(f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}")

torch.manual_seed(0)
shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
config = LlamaConfig(vocab_size=32, tie_word_embeddings=True, **shape)
model = LlamaForCausalLM(config)
torch.nn.init.normal_(model.lm_head.weight)
ids = torch.randint(0, 32, (2, 12))
options = TrainingArguments(
    output_dir=tempfile.mkdtemp(), label_smoothing_factor=0.1, use_cpu=True, report_to=[], remove_unused_columns=False
)
trainer = Trainer(model=model, args=options)


def smoothed(logits, targets):
    """The same by torch's own cross entropy."""
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), label_smoothing=0.1).item()


def by_trainer():
    with torch.no_grad():
        return trainer.compute_loss(model, {"input_ids": ids, "labels": ids.clone()}).item()


with torch.no_grad():
    logits = model(ids).logits
right, unshifted = smoothed(logits[:, :-1], ids[:, 1:]), smoothed(logits, ids)
print(f"each position against the next token (right): {right:.4f}; against its own token: {unshifted:.4f}")
plain = by_trainer()
print(f"Trainer, {model._get_name()}: {plain:.4f}")
fully_shard(model, mesh=torch.distributed.device_mesh.init_device_mesh("cpu", (1,)))
sharded = by_trainer()
print(f"Trainer, {model._get_name()} (after fully_shard): {sharded:.4f} (right: {right:.4f})")
sys.stdout.flush()
os._exit(0 if abs(sharded - right) < 1e-3 else 1)  # gloo's threads may abort an interpreter that ends
